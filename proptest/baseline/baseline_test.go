package baseline_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/machreg/machreg/proptest/baseline"
)

var locks = map[string]baseline.LockKind{"correct lock": baseline.CorrectLock, "published lock": baseline.PublishedLock}

func newPath(t testing.TB) string { return filepath.Join(t.TempDir(), "machines.json") }

func open(t testing.TB, path string, lock baseline.LockKind) *baseline.Registry {
	t.Helper()
	r := baseline.New(path, &baseline.Options{Lock: lock})
	if err := r.Load(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

func names(r *baseline.Registry) string {
	var all []string
	for _, m := range r.List() {
		all = append(all, m.Name)
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

func write(t testing.TB, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func read(t testing.TB, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestSemantics(t *testing.T) {
	type M = baseline.Machine
	steps := []struct {
		name string
		run  func(*baseline.Registry) error
		err  error
		want string // the names after the step
	}{
		{"get local", func(r *baseline.Registry) error {
			m, err := r.Get("local")
			if err == nil && *m != (M{Name: "local", Type: "local"}) {
				err = errors.New("local is something else")
			}
			return err
		}, nil, "local"},
		{"get unknown", func(r *baseline.Registry) error { _, err := r.Get("a"); return err }, baseline.ErrNotFound, "local"},
		{"remove unknown", func(r *baseline.Registry) error { return r.Remove("a") }, baseline.ErrNotFound, "local"},
		{"remove local", func(r *baseline.Registry) error { return r.Remove("local") }, baseline.ErrBuiltin, "local"},
		{"add without name", func(r *baseline.Registry) error { return r.Add(&M{Type: "ssh", Host: "h"}) }, baseline.ErrInvalid, "local"},
		{"add without type", func(r *baseline.Registry) error { return r.Add(&M{Name: "a"}) }, baseline.ErrInvalid, "local"},
		{"add ssh without host", func(r *baseline.Registry) error { return r.Add(&M{Name: "a", Type: "ssh"}) }, baseline.ErrInvalid, "local"},
		{"add ssh", func(r *baseline.Registry) error { return r.Add(&M{Name: "a", Type: "ssh", Host: "h"}) }, nil, "a local"},
		{"add of another type", func(r *baseline.Registry) error { return r.Add(&M{Name: "b", Type: "k8s"}) }, nil, "a b local"},
		{"upsert", func(r *baseline.Registry) error { return r.Add(&M{Name: "a", Type: "ssh", Host: "h2", KeyPath: "k"}) }, nil, "a b local"},
		{"get upserted", func(r *baseline.Registry) error {
			m, err := r.Get("a")
			if err == nil && *m != (M{Name: "a", Type: "ssh", Host: "h2", KeyPath: "k"}) {
				err = errors.New("the upsert is not there")
			}
			return err
		}, nil, "a b local"},
		{"upsert local", func(r *baseline.Registry) error { return r.Add(&M{Name: "local", Type: "local", TownPath: "/t"}) }, nil, "a b local"},
		{"remove", func(r *baseline.Registry) error { return r.Remove("b") }, nil, "a local"},
		{"remove again", func(r *baseline.Registry) error { return r.Remove("b") }, baseline.ErrNotFound, "a local"},
	}
	for name, lock := range locks {
		t.Run(name, func(t *testing.T) {
			path := newPath(t)
			r := open(t, path, lock)
			for _, s := range steps {
				if err := s.run(r); !errors.Is(err, s.err) || err != nil && s.err == nil {
					t.Errorf("%s: error %v, want %v", s.name, err, s.err)
				}
				if got := names(r); got != s.want {
					t.Errorf("%s: left %q, want %q", s.name, got, s.want)
				}
			}
			want := `{
  "version": 1,
  "machines": {
    "a": {
      "name": "a",
      "type": "ssh",
      "host": "h2",
      "key_path": "k",
      "town_path": ""
    },
    "local": {
      "name": "local",
      "type": "local",
      "host": "",
      "key_path": "",
      "town_path": "/t"
    }
  }
}`
			if got := read(t, path); got != want {
				t.Errorf("the file is\n%s\nwant\n%s", got, want)
			}
			if got := names(open(t, path, lock)); got != "a local" {
				t.Errorf("a second handle loads %q", got)
			}
		})
	}
}

func TestLoad(t *testing.T) {
	for _, test := range []struct{ name, content, want string }{
		{"empty object", `{}`, "local"},
		{"no machines", `{"version":1,"machines":null}`, "local"},
		{"without local", `{"version":1,"machines":{"a":{"type":"x"}}}`, "a local"},
		{"name is the key", `{"version":1,"machines":{"a":{"name":"b","type":"x"}}}`, "a local"},
		{"another version", `{"version":7,"machines":{"a":{"type":"x"}}}`, "a local"},
		{"bad machine", `{"version":1,"machines":{"a":{"type":"ssh"}}}`, "a local"},
		{"written by machreg", "{\n\"version\": 1,\n\"revision\": 42,\n\"machines\": {\n\"a\": {\"name\":\"a\",\"type\":\"x\"}\n},\n\"checksum\": \"crc32c:00000000\"\n}\n", "a local"},
		{"empty file", ``, ""},
		{"cut", `{"version":1,"machines":{"a":`, ""},
		{"null machine", `{"version":1,"machines":{"a":null}}`, ""},
		{"wrong shape", `{"version":1,"machines":[]}`, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := newPath(t)
			r := open(t, path, baseline.CorrectLock)
			write(t, path, test.content)
			err := r.Load()
			if test.want != "" {
				if got := names(r); err != nil || got != test.want {
					t.Errorf("Load = %v with %q, want %q", err, got, test.want)
				}
				return
			}
			if err == nil {
				t.Error("Load accepts it")
			}
			if err := r.Add(&baseline.Machine{Name: "b", Type: "x"}); err == nil {
				t.Error("Add accepts it")
			}
			if got := read(t, path); got != test.content {
				t.Errorf("the bad file was overwritten by %q", got)
			}
		})
	}
}

// TestReloadsBeforeWriting lets two handles write in turn.
func TestReloadsBeforeWriting(t *testing.T) {
	for name, lock := range locks {
		t.Run(name, func(t *testing.T) {
			path := newPath(t)
			a, b := open(t, path, lock), open(t, path, lock)
			for i, r := range []*baseline.Registry{a, b, a, b} {
				if err := r.Add(&baseline.Machine{Name: string(rune('a' + i)), Type: "x"}); err != nil {
					t.Fatal(err)
				}
			}
			if got := names(b); got != "a b c d local" {
				t.Errorf("the last writer has %q", got)
			}
			if got := names(a); got != "a b c local" {
				t.Errorf("the one before has %q: it looked at the disk without writing", got)
			}
		})
	}
}

func TestLockFiles(t *testing.T) {
	for name, lock := range locks {
		t.Run(name, func(t *testing.T) {
			path := newPath(t)
			lockPath := filepath.Join(filepath.Dir(path), ".gastown", "locks", "machines.json.lock")
			r := baseline.New(path, &baseline.Options{Lock: lock})
			if err := r.Add(&baseline.Machine{Name: "a", Type: "x"}); err != nil {
				t.Fatal(err)
			}
			_, err := os.Stat(lockPath)
			if kept := err == nil; kept != (lock == baseline.CorrectLock) {
				t.Errorf("lock file kept after a write: %t (%v)", kept, err)
			}
			if err := r.Close(); err != nil {
				t.Fatal(err)
			}
			if _, err := os.Stat(lockPath); err == nil {
				t.Error("lock file is left after Close")
			}
		})
	}
}
