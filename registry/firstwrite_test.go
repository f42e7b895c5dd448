package registry_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/machreg/machreg/internal/vfs"
	"github.com/machreg/machreg/internal/vfs/errorfs"
	"github.com/machreg/machreg/registry"
)

// The first write makes the directories of the file, wherever its lock is, and
// makes their names durable.
func TestFirstWriteMakesDirectories(t *testing.T) {
	for _, locks := range []string{"beside", "elsewhere"} {
		t.Run("locks "+locks, func(t *testing.T) {
			base := t.TempDir()
			path := filepath.Join(base, "one", "two", "three", "machines.json")
			disk := errorfs.Wrap(vfs.OS)
			opts := &registry.Options{FS: disk}
			if locks == "elsewhere" {
				opts.LockDir = filepath.Join(t.TempDir(), "locks")
			}
			r := open(t, path, opts)
			if _, err := os.Lstat(filepath.Join(base, "one")); err == nil {
				t.Error("opening made a directory")
			}
			disk.Record()
			if rev := add(t, r, "a"); rev != 1 {
				t.Errorf("the first write is revision %d, want 1", rev)
			}
			var synced []string
			for _, op := range disk.Trace() {
				if op.Kind == errorfs.SyncDir {
					synced = append(synced, op.Path)
				}
				if op.Kind == errorfs.Rename {
					break
				}
			}
			for _, dir := range []string{base, filepath.Join(base, "one"), filepath.Join(base, "one", "two")} {
				if !slices.Contains(synced, dir) {
					t.Errorf("%q is not synced before the file is there; synced are %q", dir, synced)
				}
			}
			disk.Record()
			add(t, r, "b")
			if n := count(disk.Trace(), errorfs.SyncDir); n != 1 {
				t.Errorf("the second write syncs %d directories, want 1", n)
			}
			if fresh := open(t, path, opts).Snapshot(); !fresh.Holds("a") || fresh.Revision() != 2 || fresh.Edited() {
				t.Errorf("a fresh handle finds revision %d, edited %t", fresh.Revision(), fresh.Edited())
			}
		})
	}
}

// A write that is refused in a registry that does not exist leaves no trace.
func TestRefusedFirstWriteLeavesNothing(t *testing.T) {
	base := t.TempDir()
	r := open(t, filepath.Join(base, "fleet", "machines.json"), nil)
	if _, err := r.Remove(t.Context(), "absent"); !errors.Is(err, registry.ErrNotFound) {
		t.Errorf("Remove = %v, want ErrNotFound", err)
	}
	if _, err := r.Add(t.Context(), machineOf("m"), registry.IfRevision(5)); !errors.Is(err, registry.ErrConflict) {
		t.Errorf("Add on condition of revision 5 = %v, want ErrConflict", err)
	}
	if _, err := r.Update(t.Context(), func(tx *registry.Tx[registry.Machine]) error { return tx.Remove("absent") }); !errors.Is(err, registry.ErrNotFound) {
		t.Errorf("Update = %v, want ErrNotFound", err)
	}
	if left, err := os.ReadDir(base); len(left) != 0 || err != nil {
		t.Errorf("left: %v, %v", left, err)
	}
	add(t, r, "m")
}

// lateFS tells what was, after something else has happened.
type lateFS struct {
	vfs.FS
	after func(path string)
}

func (l lateFS) Stat(name string) (vfs.Info, error) {
	info, err := l.FS.Stat(name)
	l.after(name)
	return info, err
}

// A write that is refused in a registry that was not there a moment ago is
// refused for what is there while it is called: another process may have made the
// registry before.
func TestRefusedFirstWriteLooksAgain(t *testing.T) {
	locks := t.TempDir()
	path := filepath.Join(t.TempDir(), "fleet", "machines.json")
	other := open(t, path, &registry.Options{LockDir: locks})
	var r *registry.MachineRegistry
	second := make(chan error, 1)
	armed := false
	r = open(t, path, &registry.Options{LockDir: locks, Refresh: registry.RefreshNever, PollInterval: time.Hour, FS: lateFS{vfs.OS, func(name string) {
		if name != filepath.Dir(path) || !armed {
			return
		}
		armed = false
		add(t, other, "k")
		go func() {
			_, err := r.Remove(t.Context(), "k")
			second <- err
		}()
		awaitLine(r.Registry, 2)
	}}})
	armed = true
	if _, err := r.Remove(t.Context(), "absent"); !errors.Is(err, registry.ErrNotFound) {
		t.Errorf("Remove of what was never there = %v, want ErrNotFound", err)
	}
	if err := <-second; err != nil {
		t.Errorf("Remove of what was acknowledged before = %v", err)
	}
}

// One content has one revision for every handle, however each is opened, and no
// condition accepts a number for what was edited by hand.
func TestHandEditsHaveNoRevision(t *testing.T) {
	opts := map[string]*registry.Options{
		"page":                 {},
		"no page":              {Page: registry.PageOff},
		"never refreshes":      {Refresh: registry.RefreshNever},
		"no page, never":       {Page: registry.PageOff, Refresh: registry.RefreshNever},
		"lock dir spelled":     nil, // below
		"polls, no page":       {Page: registry.PageOff, Refresh: registry.RefreshPoll},
		"syncs nothing":        {Sync: registry.SyncNone},
		"one write a commit":   {GroupLimit: 1},
		"does not split links": {SplitHardLinks: true},
	}
	path := newPath(t)
	opts["lock dir spelled"] = &registry.Options{LockDir: filepath.Join(filepath.Dir(path), ".gastown", "locks")}
	handles := make(map[string]*registry.MachineRegistry)
	for name, o := range opts {
		handles[name] = open(t, path, o)
	}
	all := func(what string, revision registry.Revision, edited bool) {
		t.Helper()
		handles["opened now, "+what] = open(t, path, nil)
		for name, h := range handles {
			if err := h.Refresh(t.Context()); err != nil {
				t.Fatalf("%s: %s: %v", what, name, err)
			}
			if s := h.Snapshot(); s.Revision() != revision || s.Edited() != edited {
				t.Errorf("%s: a handle that %s is at revision %d, edited %t; want %d, %t", what, name, s.Revision(), s.Edited(), revision, edited)
			}
		}
	}
	for _, writer := range []string{"page", "no page", "no page, never", "syncs nothing"} {
		w := handles[writer]
		at := add(t, w, "written by "+writer)
		all("written", at, false)
		old := mustRead(t, path)
		next := add(t, w, "written next by "+writer)
		for i := range 3 {
			edit := fmt.Sprintf(`{"version":1,"revision":%d,"machines":{"m%d":{"type":"local"}}}`, i, i)
			if err := writeAndRename(path, []byte(edit)); err != nil {
				t.Fatal(err)
			}
			all("edited", next, true)
		}
		if err := writeAndRename(path, old); err != nil {
			t.Fatal(err)
		}
		all("an older copy put back", next, true)
		for _, given := range []registry.Revision{at, next} {
			c, err := handles["opened now, edited"].Add(t.Context(), machineOf("x"), registry.IfRevision(given))
			if !errors.Is(err, registry.ErrConflict) {
				t.Errorf("a write on condition of revision %d = %d, %v, want ErrConflict", given, c, err)
			}
		}
		all("settled by a refused write", next+1, false)
		if rev, err := w.Add(t.Context(), machineOf("x by "+writer), registry.IfRevision(next+1)); rev != next+2 || err != nil {
			t.Errorf("then a write on condition of revision %d = %d, %v, want %d", next+1, rev, err, next+2)
		}
	}
}

// A page that a dead writer left odd still says what was published: an older
// copy of the file that arrives then does not take the revision back.
func TestOlderCopyBesideOddPage(t *testing.T) {
	path := newPath(t)
	r := open(t, path, nil)
	add(t, r, "a")
	old := mustRead(t, path)
	before := add(t, r, "b", "c", "d")
	leaveOdd(t, path)
	seen := open(t, path, nil).Revision()
	if seen <= before {
		t.Fatalf("a reader is at revision %d, want the one that the dead writer renamed after %d", seen, before)
	}
	if err := writeAndRename(path, old); err != nil {
		t.Fatal(err)
	}
	for _, page := range []registry.PagePolicy{registry.PageAuto, registry.PageOff} {
		fresh := open(t, path, &registry.Options{Page: page})
		if s := fresh.Snapshot(); s.Revision() < before || !s.Edited() {
			t.Errorf("a fresh handle is at revision %d, edited %t; want at least %d, true", s.Revision(), s.Edited(), before)
		}
	}
	// The revision that was renamed is used up: a reader has seen it.
	if rev := add(t, open(t, path, nil), "e"); rev != seen+2 {
		t.Errorf("the next write is revision %d, want %d", rev, seen+2)
	}
}
