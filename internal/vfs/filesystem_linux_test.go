package vfs_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/machreg/machreg/internal/sandbox"
	"github.com/machreg/machreg/internal/vfs"
)

func TestFileSystemOf(t *testing.T) {
	if !sandbox.Enter(t, sandbox.Mounts) {
		return
	}
	dir := t.TempDir()
	sandbox.Mount(t, "none", dir, "tmpfs", 0, "size=64k")
	for _, path := range []string{dir, filepath.Join(dir, "missing", "below")} {
		got, err := vfs.FileSystemOf(path)
		if err != nil || got.Name != "tmpfs" || got.Kind != vfs.Memory || got.ReadOnly || got.Free <= 0 || got.Free > 64<<10 {
			t.Errorf("FileSystemOf(%q) = %+v, %v, want a tmpfs of 64 KiB", path, got, err)
		}
	}
	if err := syscall.Mount("", dir, "", syscall.MS_REMOUNT|syscall.MS_BIND|syscall.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	if got, err := vfs.FileSystemOf(dir); err != nil || !got.ReadOnly {
		t.Errorf("FileSystemOf(%q), mounted read-only = %+v, %v", dir, got, err)
	}
}

func TestFlagsOfMountPoint(t *testing.T) {
	if !sandbox.Enter(t, sandbox.Mounts) {
		return
	}
	dir := t.TempDir()
	// A name that the table of mounts spells in another way.
	source, target := filepath.Join(dir, "source"), filepath.Join(dir, "a \\ b")
	for _, name := range []string{source, target} {
		if err := os.WriteFile(name, nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	sandbox.Bind(t, source, target)
	for path, want := range map[string]bool{source: false, target: true} {
		if got, err := vfs.FlagsOf(path); err != nil || got.MountPoint != want {
			t.Errorf("FlagsOf(%q) = %+v, %v, want mount point: %t", path, got, err, want)
		}
		if got, err := vfs.IsInMountTable(path); err != nil || got != want {
			t.Errorf("isInMountTable(%q) = %t, %v, want %t", path, got, err, want)
		}
	}
}
