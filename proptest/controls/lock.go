package controls

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"github.com/gofrs/flock"

	"github.com/machreg/machreg/filelock"
)

// under runs fn under the lock between processes.
func (r *Registry) under(fn func() error) (err error) {
	if r.fault == LockFileDeleted {
		return underDeleted(r.lock.Path(), fn)
	}
	held, err := r.lock.Lock(context.Background())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, held.Unlock()) }()
	return fn()
}

// underDeleted is the life cycle that loses updates: who waits for the file
// that is removed here is let in by a lock that nobody else can see.
func underDeleted(path string, fn func() error) (err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	fl := flock.New(path, flock.SetFlag(os.O_CREATE|os.O_RDWR))
	if err := fl.Lock(); err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, fl.Unlock())
		os.Remove(path)
	}()
	return fn()
}

// newLock is the lock of the registry at path, where this module has it.
func newLock(path string) *filelock.Lock {
	return filelock.New(lockDir(path)+".lock", nil)
}

// lockDir is where lock and page are, up to their suffixes.
func lockDir(path string) string {
	dir, base := filepath.Split(path)
	return filepath.Join(dir, ".gastown", "locks", base)
}
