package registry_test

import (
	"errors"
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
	if n := count(disk.Trace(), errorfs.SyncDir); n != 1 {
		t.Errorf("two writes that changed nothing synced %d times, want once", n)
	}
	if n := count(disk.Trace(), errorfs.Create); n != 0 {
		t.Errorf("two writes that changed nothing made %d files", n)
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

// What one process renamed and died before syncing is synced before another is
// told that its identical write is safe.
func TestUnchangedWriteIsDurable(t *testing.T) {
	path := newPath(t)
	add(t, open(t, path, nil), "a")
	disk := errorfs.Wrap(vfs.OS)
	r := open(t, path, &registry.Options{FS: disk})
	disk.Record()
	if rev, err := r.Add(t.Context(), machineOf("a")); err != nil || rev != 1 {
		t.Fatalf("identical Add = %d, %v, want revision 1", rev, err)
	}
	if n := count(disk.Trace(), errorfs.SyncDir); n != 1 {
		t.Errorf("synced %d times, want once", n)
	}
	if s := r.Stats(); s.Commits != 0 || s.Unchanged != 1 {
		t.Errorf("stats count %d commits and %d unchanged writes, want 0 and 1", s.Commits, s.Unchanged)
	}
	add(t, r, "b")
	disk.Record()
	add(t, r, "b")
	if n := len(disk.Trace()); count(disk.Trace(), errorfs.SyncDir) != 0 || count(disk.Trace(), errorfs.Rename) != 0 {
		t.Errorf("identical Add after one's own took %d operations: %v", n, disk.Trace())
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
