package vfs_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/machreg/machreg/internal/vfs"
)

// A rename tells a target that is open elsewhere, which passes, from one that
// must not be replaced, which does not.
func TestRenameOverFileInUse(t *testing.T) {
	dir := t.TempDir()
	temp, path := filepath.Join(dir, "temp"), filepath.Join(dir, "file")
	write(t, temp, "new")
	write(t, path, "old")
	f, err := os.Open(path) // does not share the deletion
	if err != nil {
		t.Fatal(err)
	}
	if err := vfs.OS.Rename(temp, path); !errors.Is(err, vfs.ErrInUse) {
		t.Errorf("Rename over an open file = %v, want ErrInUse", err)
	}
	f.Close()
	if err := os.Mkdir(filepath.Join(dir, "dir"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := vfs.OS.Rename(temp, filepath.Join(dir, "dir")); err == nil || errors.Is(err, vfs.ErrInUse) {
		t.Errorf("Rename over a directory = %v, want another error than ErrInUse", err)
	}
	if err := vfs.OS.Rename(temp, path); err != nil {
		t.Errorf("Rename over a file that was closed = %v", err)
	}
	if got, err := os.ReadFile(path); string(got) != "new" {
		t.Errorf("the file holds %q, %v", got, err)
	}
}
