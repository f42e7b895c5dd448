package registry_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/machreg/machreg/registry"
)

// eventually waits for something that another goroutine or process brings
// about; what it waits for has no order of its own.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within 30 s: %s", what)
		}
	}
}

// needPage skips a test of the page where there can be none.
func needPage(t testing.TB, r *registry.MachineRegistry) {
	t.Helper()
	if mode := r.Stats().Latest; mode.Name != registry.ModePage {
		t.Skipf("NOT TESTED: there is no revision page here: %v", mode.Err)
	}
}

// The page is deleted, and the next writer is one that never had it: nothing
// can reach the old page, so the reader has to look by itself, whatever its
// refresh policy.
func TestPageDeletedBeforeNewWriter(t *testing.T) {
	for _, policy := range []registry.RefreshPolicy{registry.RefreshWatch, registry.RefreshPoll, registry.RefreshNever} {
		path := newPath(t)
		first := open(t, path, nil)
		add(t, first, "a")
		first.Close() // or it would notice, and tell
		reader := open(t, path, &registry.Options{Refresh: policy, PollInterval: 5 * time.Millisecond, ReadOnly: true})
		needPage(t, reader)
		if err := os.Remove(reader.PagePath()); err != nil {
			t.Fatal(err)
		}
		rev := add(t, open(t, path, nil), "b")
		eventually(t, "Latest notices the new page", func() bool {
			snap, err := reader.Latest(t.Context())
			return err == nil && snap.Revision() >= rev
		})
	}
}

// Looking after the page does not bring back a directory that was removed.
func TestMaintainLeavesRemovedDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "town")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	r := open(t, filepath.Join(dir, "machines.json"), &registry.Options{Refresh: registry.RefreshNever, PollInterval: time.Hour})
	add(t, r, "a")
	needPage(t, r)
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		r.Maintain()
	}
	if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the directory is back: %v", list(t, dir))
	}
}

// A page that a writer left odd when it died is repaired without a write.
func TestMaintainRepairsPage(t *testing.T) {
	path := newPath(t)
	r := open(t, path, &registry.Options{Refresh: registry.RefreshNever, PollInterval: time.Hour})
	add(t, r, "a")
	needPage(t, r)
	leaveOdd(t, path)
	latest := func() (looked bool) {
		t.Helper()
		before := r.Stats()
		if snap, err := r.Latest(t.Context()); err != nil || !snap.Holds("odd") {
			t.Fatalf("Latest = %v, %v; want what the dead writer renamed", snap, err)
		}
		after := r.Stats()
		return after.Loads+after.Skips != before.Loads+before.Skips
	}
	latest()
	if !latest() {
		t.Error("Latest trusts an odd page")
	}
	r.Maintain()
	if latest(); latest() {
		t.Error("Latest compares stamps after the page was repaired")
	}
}
