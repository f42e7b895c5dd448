package registry_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/machreg/machreg/registry"
)

// Go's own os.Open forbids to replace the file meanwhile.
func TestOpenElsewhere(t *testing.T) {
	path := newPath(t)
	r := open(t, path, &registry.Options{LockTimeout: 2 * time.Second, Refresh: registry.RefreshNever})
	add(t, r, "a", "b")
	before := stateOf(t, r, path)
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Add(t.Context(), machineOf("c")); !errors.Is(err, registry.ErrLockTimeout) {
		t.Errorf("Add = %v while the file is open, want ErrLockTimeout", err)
	}
	before.check(t, r, path)
	noTemporaries(t, filepath.Dir(path))
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if rev := add(t, r, "c"); rev != 3 {
		t.Errorf("Add = revision %d once the file is closed, want 3", rev)
	}
}
