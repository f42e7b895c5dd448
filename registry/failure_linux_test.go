package registry_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/machreg/machreg/registry"
)

// smallDisk mounts a file system of 512 KiB.
func smallDisk(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=512k"); err != nil {
		t.Skipf("NOT TESTED: writing to a full disk needs the right to mount one: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// fill takes all the space there is, but for keep bytes.
func fill(t *testing.T, path string, keep int64) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for block := make([]byte, 4096); ; {
		if _, err := f.Write(block); errors.Is(err, syscall.ENOSPC) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	info, err := f.Stat()
	if err == nil {
		err = f.Truncate(info.Size() - keep)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// The disk is full, then a little less, until there is room.
func TestFullDisk(t *testing.T) {
	dir := smallDisk(t)
	path, filler := filepath.Join(dir, "machines.json"), filepath.Join(dir, "filler")
	r := open(t, path, nil)
	for i := range 100 {
		add(t, r, fmt.Sprintf("m-%03d", i))
	}
	failures := 0
	for keep := int64(0); ; keep += 4096 {
		registry.AwaitRetired(r.Registry) // it frees space
		fill(t, filler, keep)
		before := stateOf(t, r, path)
		rev, err := r.Add(t.Context(), machineOf("new"))
		if err == nil {
			if rev != 101 {
				t.Errorf("the first add with room enough is revision %d, want 101", rev)
			}
			break
		}
		failures++
		if !errors.Is(err, syscall.ENOSPC) || rev != 0 {
			t.Errorf("Add with %d bytes free = %d, %v, want no space", keep, rev, err)
		}
		if failures == 1 {
			t.Log(err)
		}
		before.check(t, r, path)
		noTemporaries(t, dir)
		if m, err := r.Get("m-042"); err != nil || m != machineOf("m-042") {
			t.Errorf("Get = %+v, %v", m, err)
		}
	}
	t.Logf("%d writes failed, the one with room for %d bytes did not", failures, failures*4096)
	if failures == 0 {
		t.Error("no write failed on a full disk")
	}
	if raw := mustParse(t, path); raw.Revision != 101 {
		t.Errorf("file is at revision %d, want 101", raw.Revision)
	}
	registry.AwaitRetired(r.Registry)
	// Full from the beginning: there is no room for locks and page either.
	fill(t, filler, 0)
	if err := os.RemoveAll(filepath.Join(dir, ".gastown")); err != nil {
		t.Fatal(err)
	}
	fill(t, filler, 0)
	late := open(t, path, nil)
	if late.Revision() != 101 {
		t.Errorf("a registry opened on a full disk is at revision %d, want 101", late.Revision())
	}
	if _, err := late.Add(t.Context(), machineOf("late")); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("Add = %v, want no space", err)
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	if rev := add(t, late, "late"); rev != 102 {
		t.Errorf("add with room again is revision %d, want 102", rev)
	}
}
