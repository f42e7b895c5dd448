package filelock

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// lockSuffix is what CleanStaleLocks knows lock files by.
const lockSuffix = ".lock"

// Close makes later acquisitions through l fail, and removes the lock's files
// unless the lock is held at this moment. Locks held through l stay held. Files
// that Close may not or cannot remove stay, which is always safe and no error.
// The error is about what has to be mended: it matches [ErrUnsafe], or says that
// the lock taken for the removal could not be let go of and keeps others out
// until this process ends. Closing again does nothing and returns nil. Close does
// not wait.
func (l *Lock) Close() error {
	if l.closed.Swap(true) {
		return nil
	}
	_, err := l.removeIfFree()
	if errors.Is(err, errStillHeld) || errors.Is(err, ErrUnsafe) {
		return err
	}
	return nil
}

// removeIfFree tells whether it removed the lock file.
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
	fl, err := waits.try(l.path, exclusive)
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
// files are those whose name ends in ".lock"; companions without one are removed
// too. Held locks are left alone, and one
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
	// Companions that lost their lock file, to a crash or to somebody's rm, go
	// too. Only a holder may remove them, so their lock file is made for that.
	found := make(map[string]bool) // whether the lock file is there
	for _, e := range entries {
		name := e.Name()
		if strings.HasSuffix(name, lockSuffix) {
			found[name] = true
			continue
		}
		name = strings.TrimSuffix(strings.TrimSuffix(name, queueSuffix), holderSuffix)
		if _, known := found[name]; !known && strings.HasSuffix(name, lockSuffix) {
			found[name] = false
		}
	}
	var removed []string
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(found)) {
		path := filepath.Join(dir, name)
		l := New(path, nil)
		var err error
		if !found[name] {
			err = l.makeFile(path)
		}
		ok := false
		if err == nil {
			ok, err = l.removeIfFree()
		}
		if err != nil {
			errs = append(errs, err)
		}
		if ok && found[name] {
			removed = append(removed, path)
		}
	}
	return removed, errors.Join(errs...)
}
