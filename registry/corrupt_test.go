package registry_test

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/machreg/machreg/registry"
	"github.com/machreg/machreg/snapshot"
)

// corruptFiles are contents that are not a registry, and where that shows.
var corruptFiles = []struct {
	name, content string
	line, column  int
	reason        string // part of it
}{
	{"empty", "", 1, 1, "empty"},
	{"white space", " \n\t\n", 3, 1, "end of file"},
	{"half a file", `{"version":1,"machines":{"a":{"name":"a","ty`, 1, 45, "end of file"},
	{"zeros", strings.Repeat("\x00", 512), 1, 1, "invalid character"},
	{"null", "null", 1, 1, "want a JSON object"},
	{"an array", `[{"version":1}]`, 1, 1, "want a JSON object"},
	{"a string", `"machines"`, 1, 1, "want a JSON object"},
	{"trailing data", "{\"version\":1,\"machines\":{}}\n{}", 2, 1, "data after the end"},
	{"trailing brace", "{\"version\":1,\"machines\":{}}}", 1, 28, ""},
	{"a trailing comma", "{\"version\":1,\"machines\":{},}", 1, 27, ""},
	{"duplicate machine", "{\"version\":1,\"machines\":{\n\"a\":{\"name\":\"a\",\"type\":\"t\"},\n\"a\":{\"name\":\"a\",\"type\":\"t\"}}}", 3, 1, `duplicate name "a"`},
	{"duplicate member of a machine", "{\"version\":1,\"machines\":{\"a\":{\"name\":\"a\",\"type\":\"t\",\"name\":\"a\"}}}", 1, 53, `duplicate name "name"`},
	{"duplicate member of the file", "{\"version\":1,\n\"version\":1,\"machines\":{}}", 2, 1, `duplicate name "version"`},
	{"machines twice", `{"version":1,"machines":{},"machines":{}}`, 1, 28, `duplicate name "machines"`},
	{"invalid UTF-8", "{\"version\":1,\"machines\":{\"a\":{\"name\":\"a\",\"type\":\"\xff\"}}}", 1, 50, "UTF-8"},
	{"a byte order mark", "\xef\xbb\xbf{\"version\":1,\"machines\":{}}", 1, 1, "byte order mark"},
	{"unknown version", `{"version":2,"machines":{}}`, 1, 12, "unknown version 2"},
	{"version of another kind", `{"version":"1","machines":{}}`, 1, 12, "unknown version"},
	{"no version", `{"machines":{}}`, 1, 15, `no member "version"`},
	{"no machines", `{"version":1}`, 1, 13, `no member "machines"`},
	{"machines in an array", `{"version":1,"machines":[]}`, 1, 25, "want an object"},
	{"a negative revision", `{"version":1,"revision":-1,"machines":{}}`, 1, 25, "revision -1"},
	{"too deep", `{"version":1,"machines":{"a":` + strings.Repeat("[", 10_001) + strings.Repeat("]", 10_001) + `}}`, 1, 10028, "depth"},
}

// wantCorrupt demands that err says what is wrong with the file at path, and
// where.
func wantCorrupt(t *testing.T, err error, path string, line, column int, reason string) {
	t.Helper()
	var c *snapshot.CorruptError
	if !errors.Is(err, registry.ErrCorrupt) || !errors.As(err, &c) {
		t.Fatalf("error %v is no CorruptError", err)
	}
	if c.Path != path || c.Line != line || c.Column != column || !strings.Contains(c.Reason, reason) {
		t.Errorf("corrupt at %q, line %d, column %d: %s; want %q, line %d, column %d: %s", c.Path, c.Line, c.Column, c.Reason, path, line, column, reason)
	}
	for _, want := range []string{strconv.Quote(path), "line", "column"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error %q does not say %s", err, want)
		}
	}
}

func TestOpenCorruptFile(t *testing.T) {
	for _, c := range corruptFiles {
		t.Run(c.name, func(t *testing.T) {
			path := newPath(t)
			mustWrite(t, path, c.content)
			_, err := registry.OpenMachines(path, nil)
			wantCorrupt(t, err, path, c.line, c.column, c.reason)
			if got := string(mustRead(t, path)); got != c.content {
				t.Errorf("Open changed the file to %q", got)
			}
			if got := list(t, filepath.Dir(path)); len(got) != 1 {
				t.Errorf("Open left %q", got)
			}
		})
	}
}

// replaceFile is what a careful editor does; overwriteFile what a shell does.
func replaceFile(t *testing.T, path, content string) {
	t.Helper()
	mustWrite(t, path+".edited", content)
	if err := replaceBy(path+".edited", path); err != nil {
		t.Fatal(err)
	}
}

func overwriteFile(t *testing.T, path, content string) {
	t.Helper()
	mustWrite(t, path, content)
}

// A running registry whose file is spoilt goes on serving what it had, says so,
// refuses to write, and leaves the file alone. When the file is good again, so
// is the registry.
func TestCorruptUnderARunningRegistry(t *testing.T) {
	for _, c := range corruptFiles {
		for how, spoil := range map[string]func(*testing.T, string, string){"replaced": replaceFile, "overwritten": overwriteFile} {
			t.Run(c.name+" "+how, func(t *testing.T) {
				path := newPath(t)
				r := open(t, path, &registry.Options{Refresh: registry.RefreshNever})
				add(t, r, "a", "b")
				good := string(mustRead(t, path))
				snap := r.Snapshot()
				spoil(t, path, c.content)

				wantCorrupt(t, r.Refresh(t.Context()), path, c.line, c.column, c.reason)
				_, err := r.Latest(t.Context())
				wantCorrupt(t, err, path, c.line, c.column, c.reason)
				_, err = r.Add(t.Context(), machineOf("c"))
				wantCorrupt(t, err, path, c.line, c.column, c.reason)
				_, err = r.Remove(t.Context(), "a")
				wantCorrupt(t, err, path, c.line, c.column, c.reason)
				_, err = r.Update(t.Context(), func(tx *tx) error { return tx.Put("d", machineOf("d")) })
				wantCorrupt(t, err, path, c.line, c.column, c.reason)

				var h *registry.HealthError
				if err := r.Health(); !errors.As(err, &h) || !errors.Is(err, registry.ErrCorrupt) || h.Problems[0].Part != "file" {
					t.Errorf("Health = %v, want the file's trouble", err)
				}
				if s := r.Stats(); !errors.Is(s.Trouble, registry.ErrCorrupt) || s.TroubleSince.IsZero() || s.Failed != 3 {
					t.Errorf("stats say trouble %v since %v and %d failed writes, want 3", s.Trouble, s.TroubleSince, s.Failed)
				}
				if r.Snapshot() != snap {
					t.Errorf("registry serves revision %d, want the last good one, %d", r.Revision(), snap.Revision())
				}
				if m, err := r.Get("b"); err != nil || m != machineOf("b") {
					t.Errorf("Get = %+v, %v", m, err)
				}
				if got := string(mustRead(t, path)); got != c.content {
					t.Fatalf("the corrupt file was changed to %q", got)
				}

				replaceFile(t, path, good)
				if err := r.Refresh(t.Context()); err != nil {
					t.Errorf("Refresh of the repaired file: %v", err)
				}
				if err := r.Health(); err != nil {
					t.Errorf("Health of the repaired registry: %v", err)
				}
				if rev := add(t, r, "c"); rev != 3 {
					t.Errorf("next add is revision %d, want 3", rev)
				}
				if raw := mustParse(t, path); len(raw.Machines) != 4 {
					t.Errorf("file holds %d machines, want 4", len(raw.Machines))
				}
			})
		}
	}
}

// A file that was there and is gone is not an empty registry.
func TestMissingUnderARunningRegistry(t *testing.T) {
	path := newPath(t)
	r := open(t, path, &registry.Options{Refresh: registry.RefreshNever})
	add(t, r, "a")
	if err := os.Rename(path, path+".away"); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Add(t.Context(), machineOf("b")); !errors.Is(err, registry.ErrMissing) {
		t.Errorf("Add without the file = %v, want ErrMissing", err)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the file was made anew: %v", err)
	}
	if m, err := r.Get("a"); err != nil || m != machineOf("a") {
		t.Errorf("Get = %+v, %v", m, err)
	}
	if err := r.Health(); !errors.Is(err, registry.ErrMissing) {
		t.Errorf("Health = %v, want ErrMissing", err)
	}
	if err := os.Rename(path+".away", path); err != nil {
		t.Fatal(err)
	}
	if rev := add(t, r, "b"); rev != 2 {
		t.Errorf("next add is revision %d, want 2", rev)
	}
}
