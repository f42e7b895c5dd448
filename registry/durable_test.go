package registry_test

import (
	"errors"
	"os"
	"sync"
	"syscall"
	"testing"

	"github.com/machreg/machreg/internal/vfs"
	"github.com/machreg/machreg/internal/vfs/errorfs"
	"github.com/machreg/machreg/registry"
)

func isKind(k errorfs.Kind) func(errorfs.Op) bool {
	return func(op errorfs.Op) bool { return op.Kind == k }
}

// A write that is visible, but whose durability is unknown, says so; and so
// does every write after it that rests on it and changes nothing, until a sync
// has succeeded.
func TestNotDurable(t *testing.T) {
	path := newPath(t)
	disk := errorfs.Wrap(vfs.OS)
	r := open(t, path, &registry.Options{FS: disk})
	add(t, r, "before")
	fault := disk.Inject(errorfs.Plan{Match: isKind(errorfs.SyncDir), Times: errorfs.Always, Fault: errorfs.Fail(syscall.EIO)})

	rev, err := r.Add(t.Context(), machineOf("new"))
	if !errors.Is(err, registry.ErrNotDurable) || !errors.Is(err, syscall.EIO) || rev != 2 {
		t.Errorf("Add with a directory that cannot be synced = %d, %v, want revision 2 and ErrNotDurable", rev, err)
	}
	if m, err := r.Get("new"); err != nil || m != machineOf("new") {
		t.Errorf("Get of what is visible = %+v, %v", m, err)
	}
	if raw := mustParse(t, path); raw.Revision != 2 || len(raw.Machines) != 3 {
		t.Errorf("file is at revision %d with %d machines, want 2 with 3", raw.Revision, len(raw.Machines))
	}
	if rev, err := r.Add(t.Context(), machineOf("new")); !errors.Is(err, registry.ErrNotDurable) || rev != 2 {
		t.Errorf("the same again = %d, %v, want revision 2 and ErrNotDurable", rev, err)
	}
	if _, err := r.Remove(t.Context(), "absent"); !errors.Is(err, registry.ErrNotFound) {
		t.Errorf("Remove of what is absent = %v, want ErrNotFound", err)
	}
	if fault.Fired() < 2 {
		t.Errorf("%d syncs failed, want at least 2", fault.Fired())
	}

	disk.Clear()
	disk.Record()
	for range 2 {
		if rev, err := r.Add(t.Context(), machineOf("new")); err != nil || rev != 2 {
			t.Errorf("the same again with a sound disk = %d, %v, want revision 2", rev, err)
		}
	}
	// What a failed sync was to cover may be lost for good: the kernel reports it
	// once, and drops it. So the first of the two writes the file anew.
	for _, kind := range []errorfs.Kind{errorfs.Create, errorfs.Sync, errorfs.Rename, errorfs.SyncDir} {
		if n := count(disk.Trace(), kind); n != 1 {
			t.Errorf("two writes that changed nothing, after a failed sync: %d times %v, want once", n, kind)
		}
	}
}

func count(trace []errorfs.Op, k errorfs.Kind) (n int) {
	for _, op := range trace {
		if op.Kind == k {
			n++
		}
	}
	return n
}

// A write that changes nothing is acknowledged for what is there only if that is
// known to be on disk. Otherwise it is written anew: a process that renamed it
// and died, or does not sync, has left nothing to go by, and after a sync that
// failed a later one proves nothing.
func TestUnchangedWriteIsDurable(t *testing.T) {
	for name, c := range map[string]struct {
		opts  registry.Options // of the process that wrote it
		after func(t *testing.T, path string, page string)
		files int // that the identical write makes
	}{
		"written and synced": {files: 0},
		"not synced":         {opts: registry.Options{Sync: registry.SyncNone}, files: 1},
		"the page is lost": {after: func(t *testing.T, _, page string) {
			if err := os.Remove(page); err != nil {
				t.Fatal(err)
			}
		}, files: 1},
		"copied by another program": {after: func(t *testing.T, path, _ string) {
			if err := writeAndRename(path, mustRead(t, path)); err != nil {
				t.Fatal(err)
			}
		}, files: 1},
		"without a page that is mapped": {opts: registry.Options{Page: registry.PageOff}, files: 0},
	} {
		t.Run(name, func(t *testing.T) {
			path := newPath(t)
			w := open(t, path, &c.opts)
			add(t, w, "a")
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			if c.after != nil {
				c.after(t, path, w.PagePath())
			}
			disk := errorfs.Wrap(vfs.OS)
			r := open(t, path, &registry.Options{FS: disk})
			disk.Record()
			for range 2 {
				if rev, err := r.Add(t.Context(), machineOf("a")); err != nil || rev != 1 {
					t.Fatalf("identical Add = %d, %v, want revision 1", rev, err)
				}
			}
			for _, kind := range []errorfs.Kind{errorfs.Create, errorfs.Sync, errorfs.SyncDir} {
				if n := count(disk.Trace(), kind); n != c.files {
					t.Errorf("two identical writes: %d times %v, want %d", n, kind, c.files)
				}
			}
			if s := r.Stats(); s.Unchanged != 2 || s.Writes != 0 {
				t.Errorf("stats count %d writes and %d unchanged ones, want 0 and 2", s.Writes, s.Unchanged)
			}
			// And whoever comes next need not write it again.
			again := errorfs.Wrap(vfs.OS)
			third := open(t, path, &registry.Options{FS: again})
			again.Record()
			add(t, third, "a")
			if n := count(again.Trace(), errorfs.Create); n != 0 {
				t.Errorf("the next process makes %d files for an identical write", n)
			}
		})
	}
}

// In a group whose durability is unknown nobody is told otherwise.
func TestNotDurableInGroup(t *testing.T) {
	disk := errorfs.Wrap(vfs.OS)
	r := open(t, newPath(t), &registry.Options{FS: disk})
	free := occupy(t, r)
	var wg sync.WaitGroup
	for range 4 { // one of them changes something
		wg.Go(func() {
			if _, err := r.Add(t.Context(), machineOf("same")); !errors.Is(err, registry.ErrNotDurable) {
				t.Errorf("Add = %v, want ErrNotDurable", err)
			}
		})
	}
	awaitLine(r.Registry, 4)
	fault := disk.Inject(errorfs.Plan{At: 1, Match: isKind(errorfs.SyncDir), Fault: errorfs.Fail(syscall.EIO)})
	free()
	wg.Wait()
	if fault.Fired() != 1 {
		t.Errorf("%d syncs failed, want 1", fault.Fired())
	}
}
