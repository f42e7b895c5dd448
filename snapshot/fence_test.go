package snapshot_test

import (
	"errors"
	"testing"

	"github.com/machreg/machreg/internal/vfs"
	"github.com/machreg/machreg/snapshot"
)

// Two writers at once, as when somebody deletes the lock file under the first:
// both have prepared their write from the same version. Only one may publish,
// wherever the other one is.
func TestFenceBetweenTwoWriters(t *testing.T) {
	if !vfs.InodesRecycle {
		t.Skip("NOT TESTED: on this platform versions are not locked")
	}
	dir := t.TempDir()
	one, two := fileIn(t, dir, snapshot.FileOptions{}), fileIn(t, dir, snapshot.FileOptions{})
	first := mustReplace(t, one, load(t, one, nil), realistic(0))
	second := load(t, two, nil)

	a := prepare(t, one, first, realistic(1))
	b := prepare(t, two, second, realistic(2))
	if err := fence(a, first); err != nil {
		t.Fatalf("first writer: Fence: %v", err)
	}
	// The first one is between its fence and its rename: the file is still
	// what the second one prepared from.
	if err := fence(b, second); !errors.Is(err, errLocked) {
		t.Errorf("second writer: Fence between the other's Fence and Publish = %v, want that it is locked", err)
	}
	v, err := a.Publish()
	if err != nil {
		t.Fatal(err)
	}
	// Published, but perhaps not yet told to readers.
	next := load(t, two, second)
	c := prepare(t, two, next, realistic(3))
	if err := fence(c, next); !errors.Is(err, errLocked) {
		t.Errorf("second writer: Fence before the other's Release = %v, want that it is locked", err)
	}
	a.Release()
	if err := fence(c, next); err != nil {
		t.Errorf("second writer: Fence after the other's Release = %v", err)
	}
	for _, p := range []*snapshot.Pending[machine]{b, c} {
		if err := p.Discard(); err != nil {
			t.Error(err)
		}
	}
	if ok, err := two.Unchanged(next); !ok || err != nil || v.Snapshot.Revision() != next.Snapshot.Revision() {
		t.Errorf("the file is not the first writer's: %v, %v", ok, err)
	}
	mustReplace(t, two, next, realistic(4))
}

func prepare(t *testing.T, f *snapshot.File[machine], prev *version, m machine) *snapshot.Pending[machine] {
	t.Helper()
	edit := prev.Snapshot.Edit()
	edit.Apply(put(t, machines(t), m.Name, m))
	p, err := f.Prepare(prev, edit.Snapshot())
	if err != nil {
		t.Fatal(err)
	}
	return p
}
