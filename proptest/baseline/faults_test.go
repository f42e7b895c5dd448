package baseline_test

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/machreg/machreg/filelock"
	"github.com/machreg/machreg/proptest/baseline"
)

// TestKeepsItsFaults pins the faults of the package comment, by their numbers:
// without them this would not be the baseline. The third, that nothing is
// synced, cannot be seen from here.
func TestKeepsItsFaults(t *testing.T) {
	add := func(t *testing.T, r *baseline.Registry, name string) {
		t.Helper()
		if err := r.Add(&baseline.Machine{Name: name, Type: "x"}); err != nil {
			t.Fatal(err)
		}
	}
	t.Run("1 pointers into the live map", func(t *testing.T) {
		r := open(t, newPath(t), baseline.CorrectLock)
		mine := &baseline.Machine{Name: "a", Type: "x"}
		if err := r.Add(mine); err != nil {
			t.Fatal(err)
		}
		got, err := r.Get("a")
		if err != nil || got != mine {
			t.Fatalf("Get = %p, %v; want the pointer given to Add, %p", got, err, mine)
		}
		got.Host = "changed"
		for _, m := range r.List() {
			if m.Name == "a" && m.Host != "changed" {
				t.Errorf("List has %+v", m)
			}
		}
		add(t, r, "b")
		if got, err := r.Get("a"); err != nil || got.Host != "" {
			t.Errorf("after the next reload Get = %+v, %v", got, err)
		}
	})
	t.Run("2 memory changed before a save that fails", func(t *testing.T) {
		path := newPath(t)
		r := open(t, path, baseline.CorrectLock)
		add(t, r, "a")
		was := read(t, path)
		if err := os.Mkdir(path+".tmp", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := r.Add(&baseline.Machine{Name: "b", Type: "x"}); err == nil {
			t.Fatal("Add succeeds without its temporary file")
		}
		if got := names(r); got != "a b local" {
			t.Errorf("memory has %q", got)
		}
		if err := r.Remove("a"); err == nil {
			t.Fatal("Remove succeeds without its temporary file")
		}
		if got := names(r); got != "local" {
			t.Errorf("memory has %q", got)
		}
		if got := read(t, path); got != was {
			t.Errorf("the file is %q", got)
		}
	})
	t.Run("4 others' writes are not seen", func(t *testing.T) {
		path := newPath(t)
		a, b := open(t, path, baseline.CorrectLock), open(t, path, baseline.CorrectLock)
		add(t, a, "a")
		if got := names(b); got != "local" {
			t.Errorf("another handle has %q without a write", got)
		}
	})
	t.Run("5 one temporary name, and a link is replaced", func(t *testing.T) {
		if runtime.GOOS == "windows" {
			t.Skip("making a symbolic link needs a privilege on Windows")
		}
		path := newPath(t)
		real := filepath.Join(filepath.Dir(path), "real.json")
		write(t, real, "{}")
		if err := os.Symlink(real, path); err != nil {
			t.Fatal(err)
		}
		write(t, path+".tmp", "what another writer is about to rename")
		add(t, open(t, path, baseline.CorrectLock), "a")
		if info, err := os.Lstat(path); err != nil || !info.Mode().IsRegular() {
			t.Errorf("the path is %v (%v)", info, err)
		}
		if got := read(t, real); got != "{}" {
			t.Errorf("the file behind the link is %q", got)
		}
		if _, err := os.Lstat(path + ".tmp"); err == nil {
			t.Error("the other writer's temporary file is left")
		}
	})
	t.Run("6 unknown members are dropped", func(t *testing.T) {
		path := newPath(t)
		write(t, path, `{"version":1,"revision":42,"x":1,"machines":{"a":{"type":"x","port":22}},"checksum":"crc32c:00000000"}`)
		add(t, open(t, path, baseline.CorrectLock), "b")
		for _, word := range []string{"revision", `"x":`, "port", "checksum"} {
			if got := read(t, path); strings.Contains(got, word) {
				t.Errorf("%s survived:\n%s", word, got)
			}
		}
	})
	t.Run("7 an identical add rewrites", func(t *testing.T) {
		path := newPath(t)
		r := open(t, path, baseline.CorrectLock)
		add(t, r, "a")
		was, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		add(t, r, "a")
		is, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if os.SameFile(was, is) && was.ModTime().Equal(is.ModTime()) {
			t.Error("the file is untouched")
		}
	})
	t.Run("8 anything goes in the file", func(t *testing.T) {
		path := newPath(t)
		write(t, path, "{\"version\":9,\"machines\":{\"a\":{\"host\":\"1\"},\"a\":{\"host\":\"2\"},\"\xff\":{}}}")
		r := open(t, path, baseline.CorrectLock)
		if m, err := r.Get("a"); err != nil || m.Host != "2" {
			t.Errorf("Get = %+v, %v; want the last of two", m, err)
		}
		if got := names(r); got != "a local \ufffd" {
			t.Errorf("names %q", got)
		}
	})
	t.Run("9 a deleted file comes back", func(t *testing.T) {
		path := newPath(t)
		r := open(t, path, baseline.CorrectLock)
		add(t, r, "a")
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		add(t, r, "b")
		if got := names(open(t, path, baseline.CorrectLock)); got != "a b local" {
			t.Errorf("the file has %q", got)
		}
	})
}

// TestTimeout holds the lock and lets a write wait for it in vain.
func TestTimeout(t *testing.T) {
	for name, lock := range locks {
		t.Run(name, func(t *testing.T) {
			path := newPath(t)
			h, err := filelock.New(filepath.Join(filepath.Dir(path), ".gastown", "locks", "machines.json.lock"), nil).TryLock()
			if err != nil {
				t.Fatal(err)
			}
			defer h.Unlock()
			r := baseline.New(path, &baseline.Options{Lock: lock, Timeout: 30 * time.Millisecond})
			if err := r.Add(&baseline.Machine{Name: "a", Type: "x"}); !errors.Is(err, filelock.ErrTimeout) {
				t.Errorf("Add = %v, want %v", err, filelock.ErrTimeout)
			}
			if err := r.Load(); !errors.Is(err, filelock.ErrTimeout) {
				t.Errorf("Load = %v, want %v", err, filelock.ErrTimeout)
			}
			if _, err := os.Stat(path); err == nil {
				t.Error("a file was written without the lock")
			}
		})
	}
}
