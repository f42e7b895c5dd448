// Package machreg_test holds the repository to what its documents say of it.
package machreg_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"go/parser"
	"go/token"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/machreg/machreg"

// pkg is what the go command knows of a package.
type pkg struct {
	ImportPath     string
	Dir            string
	Standard       bool
	GoFiles        []string
	IgnoredGoFiles []string
	Imports        []string
	TestImports    []string
	XTestImports   []string
}

// name is the package's path within the module.
func (p pkg) name() string { return strings.TrimPrefix(p.ImportPath, module+"/") }

func goList(t *testing.T, args ...string) []pkg {
	t.Helper()
	tool, err := exec.LookPath("go")
	if err != nil {
		t.Skipf("NOT TESTED: what the packages import, for want of the go command: %v", err)
	}
	out, err := exec.Command(tool, append([]string{"list", "-json"}, args...)...).Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var pkgs []pkg
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		err := d.Decode(&p)
		if errors.Is(err, io.EOF) {
			return pkgs
		}
		if err != nil {
			t.Fatal(err)
		}
		pkgs = append(pkgs, p)
	}
}

func TestOnePackageCommentADirectory(t *testing.T) {
	for _, p := range goList(t, "./...") {
		var commented []string
		files := append(p.GoFiles, p.IgnoredGoFiles...)
		for _, name := range files {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, name), nil, parser.PackageClauseOnly|parser.ParseComments)
			if err != nil {
				t.Fatal(err)
			}
			if f.Doc.Text() != "" {
				commented = append(commented, name)
			}
		}
		if len(p.GoFiles) > 0 && len(commented) != 1 {
			t.Errorf("%s has a package comment in %q, want one", p.ImportPath, commented)
		}
	}
}

// rooms are the packages from the top down. A package imports, of this module,
// its own subpackages and what lies in a lower room.
var rooms = [][]string{
	{"cmd", "examples"},
	{"proptest"},
	{"registry"},
	{"snapshot", "filelock", "internal/page"},
	{"internal/vfs", "internal/sandbox", "internal/lifeline"},
}

// roomOf returns the depth of the room that a package lies in, and which of
// the entries of that room it is or belongs to.
func roomOf(name string) (depth int, entry string) {
	for depth, room := range rooms {
		for _, entry := range room {
			if name == entry || strings.HasPrefix(name, entry+"/") {
				return depth, entry
			}
		}
	}
	return -1, ""
}

func TestImportsPointDown(t *testing.T) {
	seen := 0
	for _, p := range goList(t, "./...") {
		if p.ImportPath == module {
			continue // this test
		}
		from, entry := roomOf(p.name())
		if from < 0 {
			t.Errorf("%s is in no room", p.name())
			continue
		}
		for _, path := range p.Imports {
			imported, ok := strings.CutPrefix(path, module+"/")
			if !ok {
				continue
			}
			seen++
			to, other := roomOf(imported)
			if to < from || to == from && other != entry {
				t.Errorf("%s imports %s, which is not below it", p.name(), imported)
			}
		}
	}
	if seen < 20 {
		t.Errorf("only %d imports were looked at", seen)
	}
}

// agreed is what a program that imports the library compiles beyond the
// standard library: a path stands for what is below it as well.
var agreed = []string{
	module,
	"github.com/fsnotify/fsnotify",
	"github.com/go-json-experiment/json",
	"github.com/gofrs/flock",
	"golang.org/x/sys",
}

func TestImportersCompileNoMore(t *testing.T) {
	var used []string
	for _, p := range goList(t, "-deps", "./registry", "./filelock") {
		if p.Standard {
			if strings.HasPrefix(p.ImportPath, "testing") || p.ImportPath == "net/http" {
				t.Errorf("registry depends on %s", p.ImportPath)
			}
			continue
		}
		i := slices.IndexFunc(agreed, func(path string) bool {
			return p.ImportPath == path || strings.HasPrefix(p.ImportPath, path+"/")
		})
		if i < 0 {
			t.Errorf("registry depends on %s", p.ImportPath)
			continue
		}
		used = append(used, agreed[i])
		for _, tests := range []string{"/proptest", "/errorfs", "/crashfs", "/cmd/"} {
			if strings.Contains(p.ImportPath, tests) {
				t.Errorf("registry depends on %s", p.ImportPath)
			}
		}
	}
	for _, path := range agreed {
		if !slices.Contains(used, path) {
			t.Errorf("nothing of %s is used any more", path)
		}
	}
}
