package machreg_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// documents are the texts that are written for people, by their path.
func documents(t *testing.T) map[string]string {
	t.Helper()
	texts := make(map[string]string)
	err := filepath.WalkDir(".", func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name := d.Name(); d.IsDir() && path != "." && (strings.HasPrefix(name, ".") || name == "testdata") {
			return filepath.SkipDir
		}
		if !d.IsDir() && filepath.Ext(path) == ".md" {
			text, err := os.ReadFile(path)
			texts[path] = string(text)
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return texts
}

var (
	fence      = regexp.MustCompile("(?ms)^```[a-z]*\n(.*?)^```$")
	indented   = regexp.MustCompile(`(?m)^    \S.*$`)
	codeSpan   = regexp.MustCompile("`([^`\n]+)`")
	comment    = regexp.MustCompile(` {2,}# .*$`)
	goTest     = regexp.MustCompile(`\bgo test\b([^;|&]*)`)
	word       = regexp.MustCompile(`'[^']*'|\S+`)
	link       = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading    = regexp.MustCompile(`(?m)^#+ (.*)$`)
	variable   = regexp.MustCompile(`\bMACHREG_[A-Z_]+\b`)
	toChild    = regexp.MustCompile(`_(CHILD|ROLE|WORKER)$`) // from a test to a process that it starts
	notAnchor  = regexp.MustCompile(`[^a-z0-9 _-]`)
	testedFunc = regexp.MustCompile(`(?m)^func ((?:Test|Benchmark|Fuzz|Example)\w*)\(`)
)

// commands returns the command lines of a text: of its code blocks and spans.
func commands(text string) []string {
	var found []string
	add := func(block string) {
		block = strings.ReplaceAll(block, "\\\n", " ")
		for line := range strings.Lines(block) {
			line = comment.ReplaceAllString(strings.TrimSpace(line), "")
			found = append(found, strings.TrimPrefix(line, "$ "))
		}
	}
	for _, m := range fence.FindAllStringSubmatch(text, -1) {
		add(m[1])
	}
	text = fence.ReplaceAllString(text, "")
	for _, line := range indented.FindAllString(text, -1) {
		add(line)
	}
	for _, m := range codeSpan.FindAllStringSubmatch(text, -1) {
		add(m[1])
	}
	return found
}

// TestDocumentedTests holds every go test command in a document to the tests
// that there are: what it would run is there to be run.
func TestDocumentedTests(t *testing.T) {
	seen := 0
	for path, text := range documents(t) {
		for _, line := range commands(text) {
			for _, m := range goTest.FindAllStringSubmatch(line, -1) {
				seen++
				for _, why := range wrongWith(t, filepath.Dir(path), word.FindAllString(m[1], -1)) {
					t.Errorf("%s: %s: %s", path, line, why)
				}
			}
		}
	}
	if seen < 8 {
		t.Errorf("only %d commands were found", seen)
	}
}

// wrongWith returns what the arguments of a go test command name that does not
// exist, in the root of the module or in dir.
func wrongWith(t *testing.T, dir string, args []string) (why []string) {
	patterns := make(map[string]string)
	var packages []string
	for i := 0; i < len(args); i++ {
		name, value, inOne := strings.Cut(args[i], "=")
		switch name {
		case "-run", "-fuzz", "-bench":
			if !inOne && i+1 < len(args) {
				i++
				value = args[i]
			}
			patterns[name] = strings.Trim(value, "'")
		default:
			if name == "." || strings.HasPrefix(name, "./") {
				packages = append(packages, name)
			}
		}
	}
	var names []string
	for _, p := range packages {
		in := testsIn(t, p)
		if in == nil {
			in = testsIn(t, filepath.Join(dir, p))
		}
		if in == nil {
			why = append(why, "there are no tests in "+p)
		}
		names = append(names, in...)
	}
	for flag, pattern := range patterns {
		if pattern == "^$" || len(packages) == 0 {
			continue
		}
		first, _, _ := strings.Cut(pattern, "/")
		re, err := regexp.Compile(first)
		if err != nil {
			why = append(why, err.Error())
			continue
		}
		prefix := map[string]string{"-run": "", "-fuzz": "Fuzz", "-bench": "Benchmark"}[flag]
		if !slices.ContainsFunc(names, func(name string) bool { return strings.HasPrefix(name, prefix) && re.MatchString(name) }) {
			why = append(why, fmt.Sprintf("%s %s matches nothing", flag, pattern))
		}
	}
	return why
}

// testsIn returns the names of the tests in a directory, or with "..." below it.
func testsIn(t *testing.T, dir string) (names []string) {
	dir, deep := strings.CutSuffix(dir, "...")
	_ = filepath.WalkDir(filepath.Clean(dir), func(path string, d os.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && !deep && path != filepath.Clean(dir):
			return filepath.SkipDir
		case strings.HasSuffix(path, "_test.go"):
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range testedFunc.FindAllStringSubmatch(string(text), -1) {
				names = append(names, m[1])
			}
		}
		return nil
	})
	return names
}

// TestVariablesAreDocumented holds documents and code to the same environment
// variables.
func TestVariablesAreDocumented(t *testing.T) {
	documented := make(map[string]string)
	for path, text := range documents(t) {
		for _, name := range variable.FindAllString(text, -1) {
			documented[name] = path
		}
	}
	used := make(map[string]string)
	err := filepath.WalkDir(".", func(path string, d os.DirEntry, err error) error {
		if ext := filepath.Ext(path); err != nil || d.IsDir() || ext != ".go" && ext != ".sh" {
			return err
		}
		text, err := os.ReadFile(path)
		for _, name := range variable.FindAllString(string(text), -1) {
			used[name] = path
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, path := range documented {
		if used[name] == "" {
			t.Errorf("%s speaks of %s, which nothing asks for", path, name)
		}
	}
	for name, path := range used {
		if documented[name] == "" && !toChild.MatchString(name) {
			t.Errorf("%s: no document says what %s does", path, name)
		}
	}
}

func TestLinksLeadSomewhere(t *testing.T) {
	texts := documents(t)
	for path, text := range texts {
		for _, m := range link.FindAllStringSubmatch(fence.ReplaceAllString(text, ""), -1) {
			target, anchor, _ := strings.Cut(m[1], "#")
			if strings.Contains(target, "://") {
				continue
			}
			at := path
			if target != "" {
				at = filepath.Join(filepath.Dir(path), target)
			}
			if _, err := os.Stat(at); err != nil {
				t.Errorf("%s: link to %s: %v", path, m[1], err)
			} else if anchor != "" && !slices.Contains(anchors(texts[at]), anchor) {
				t.Errorf("%s: link to %s: no such heading", path, m[1])
			}
		}
	}
}

// anchors are the names by which the headings of a text can be linked to.
func anchors(text string) (names []string) {
	for _, m := range heading.FindAllStringSubmatch(fence.ReplaceAllString(text, ""), -1) {
		name := notAnchor.ReplaceAllString(strings.ToLower(m[1]), "")
		names = append(names, strings.ReplaceAll(name, " ", "-"))
	}
	return names
}

// TestImportGraph runs the command with which DESIGN.md shows the imports, and
// compares what it prints.
func TestImportGraph(t *testing.T) {
	shell, err := exec.LookPath("sh")
	if err != nil {
		t.Skipf("NOT TESTED: the import graph in DESIGN.md, for want of a shell: %v", err)
	}
	for _, m := range fence.FindAllStringSubmatch(documents(t)["DESIGN.md"], -1) {
		first, want, _ := strings.Cut(m[1], "\n")
		command, ok := strings.CutPrefix(first, "$ go list ")
		if !ok {
			continue
		}
		got, err := exec.Command(shell, "-c", "go list "+command).CombinedOutput()
		if err != nil || string(got) != want {
			t.Errorf("DESIGN.md says\n%swhat is printed is (%v)\n%s", want, err, got)
		}
		return
	}
	t.Error("DESIGN.md does not show the import graph")
}
