package filelock

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// lockSuffix is what CleanStaleLocks knows lock files by.
const lockSuffix = ".lock"

// Close removes the lock's files if nobody holds the lock at this moment, and
// makes later acquisitions through l fail. Locks held through l stay held.
// Closing again does nothing and returns nil. It does not wait.
func (l *Lock) Close() error {
	if l.closed.Swap(true) {
		return nil
	}
	_, err := l.removeIfFree()
	return err
}

// removeIfFree tells whether it removed the lock file. It creates nothing.
func (l *Lock) removeIfFree() (removed bool, err error) {
	info, err := os.Lstat(l.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err == nil {
		err = checkDir(l.dir, info)
	}
	if err != nil {
		return false, fmt.Errorf("remove lock %q: %w", l.path, err)
	}
	fl, err := waits.try(l.path, exclusive, openExisting)
	if errors.Is(err, errGaveUp) || errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("remove lock %q: %w", l.path, err)
	}
	h, err := l.verified(fl, exclusive)
	if err != nil {
		return false, fmt.Errorf("remove lock %q: %w", l.path, err)
	}
	if h == nil {
		return false, nil // somebody else has just removed it
	}
	if err := h.UnlockAndRemove(); err != nil {
		return false, err
	}
	_, err = os.Lstat(l.path)
	return errors.Is(err, fs.ErrNotExist), nil
}

// CleanStaleLocks removes the lock files in dir that nobody holds, together with
// their companions, and returns the paths of the lock files removed, sorted. Lock
// files are those whose name ends in ".lock". Held locks are left alone, and one
// that is being acquired meanwhile is safe: its acquirer finds the file gone and
// makes a new one. A missing dir holds no locks. It does not wait.
//
// An error about one lock does not keep the others from being cleaned; all
// errors are joined.
func CleanStaleLocks(dir string) ([]string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("clean lock directory: %w", err)
	}
	info, err := os.Lstat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err == nil {
		err = checkDir(dir, info)
	}
	if err != nil {
		return nil, fmt.Errorf("clean lock directory %q: %w", dir, err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("clean lock directory %q: %w", dir, err)
	}
	var removed []string
	var errs []error
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), lockSuffix) {
			continue
		}
		path := filepath.Join(dir, e.Name())
		ok, err := New(path, nil).removeIfFree()
		if err != nil {
			errs = append(errs, err)
		}
		if ok {
			removed = append(removed, path)
		}
	}
	slices.Sort(removed)
	return removed, errors.Join(errs...)
}
