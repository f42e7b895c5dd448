package filelock

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/machreg/machreg/internal/vfs"
)

// dirPerm is narrowed by the umask.
const dirPerm fs.FileMode = 0o755

// errNoBase is matched by the error for a lock directory that is missing and may
// not be made, because it is not below an existing base.
var errNoBase = fmt.Errorf("no directory to make the lock directory in: %w", fs.ErrNotExist)

// prepareDir makes sure that the lock directory exists and can be trusted. The
// check comes before every acquisition, because the directory may be replaced
// between two of them. It begins again if somebody deletes the directory while
// it is being made.
func (l *Lock) prepareDir() error {
	for vanished := 0; ; vanished++ {
		err := l.prepareDirOnce()
		if !errors.Is(err, fs.ErrNotExist) || errors.Is(err, errNoBase) || vanished == maxVanished {
			return err
		}
	}
}

func (l *Lock) prepareDirOnce() error {
	info, err := os.Lstat(l.dir)
	if errors.Is(err, fs.ErrPermission) && l.removeUnfinished(filepath.Dir(l.dir)) {
		err = fs.ErrNotExist
	}
	if errors.Is(err, fs.ErrNotExist) {
		// Look before creating: a planted link among the ancestors would have the
		// directory made somewhere else.
		if err := checkAncestors(l.dir); err != nil {
			return err
		}
		if err := l.makeDir(); err != nil {
			return err
		}
		info, err = os.Lstat(l.dir)
	}
	if err != nil {
		return err
	}
	if err := checkDir(l.dir, info); err != nil {
		return err
	}
	if seen := l.checkedDir.Load(); seen != nil && os.SameFile(*seen, info) {
		return nil
	}
	if err := checkAncestors(l.dir); err != nil {
		return err
	}
	l.checkedDir.Store(&info)
	return nil
}

// makeDir makes the lock directory and its missing parents, one level at a time:
// below a base, so that a base that is moved away meanwhile stays away.
func (l *Lock) makeDir() error {
	first := ""
	if l.base != "" {
		below, err := filepath.Rel(l.base, l.dir)
		if err != nil || below == "." || !filepath.IsLocal(below) {
			return fmt.Errorf("%w: %q is not below %q", errNoBase, l.dir, l.base)
		}
		if _, err := os.Stat(l.base); errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%w: %q", errNoBase, l.base)
		} else if err != nil {
			return err
		}
		first = l.base
	}
	var missing []string
	for dir := l.dir; dir != first; dir = filepath.Dir(dir) {
		if _, err := os.Lstat(dir); err == nil || filepath.Dir(dir) == dir {
			break
		}
		missing = append(missing, dir)
	}
	for _, dir := range slices.Backward(missing) {
		err := os.Mkdir(dir, dirPerm)
		if errors.Is(err, fs.ErrPermission) && l.removeUnfinished(filepath.Dir(dir)) {
			return fs.ErrNotExist // begin again
		}
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return err
		}
		if f, err := vfs.OpenMade(dir); err == nil {
			l.handOver(f)
			f.Close()
		}
	}
	return nil
}

// handOver gives what this process has just made to those who share the data, and
// reports whether it is known who they are.
func (l *Lock) handOver(f *os.File) bool {
	if l.like == "" {
		return false
	}
	like, err := vfs.OS.Stat(l.like)
	if err == nil {
		vfs.HandOver(f, like)
	}
	return err == nil
}

// removeUnfinished removes a directory below the base in which this user can make
// nothing, if it is empty: its maker did not live to hand it over.
func (l *Lock) removeUnfinished(dir string) bool {
	return l.base != "" && l.like != "" && strings.HasPrefix(dir, l.base+string(filepath.Separator)) && os.Remove(dir) == nil
}

// makeLockFile makes the lock file if it is missing, and its directory.
func (l *Lock) makeLockFile() error {
	if err := l.prepareDir(); err != nil {
		return err
	}
	err := l.makeFile(l.path)
	switch {
	case errors.Is(err, fs.ErrPermission) && l.removeUnfinished(l.dir), errors.Is(err, fs.ErrNotExist), isBusy(err), isBeingDeleted(err):
		return nil // the acquisition begins again
	case err != nil:
		return explainOpen(l.path, err)
	}
	return nil
}

func checkDir(dir string, info os.FileInfo) error {
	switch {
	case !info.IsDir():
		return fmt.Errorf("%w: %q is %s, not a directory", ErrUnsafe, dir, kindOf(info.Mode()))
	case writableByOthers(info) && info.Mode()&fs.ModeSticky == 0:
		return fmt.Errorf("%w: directory %q is writable by others and not sticky (mode %v)", ErrUnsafe, dir, info.Mode())
	}
	return nil
}

// checkAncestors refuses a symbolic link above dir that sits in a directory
// where anybody can create one, unless it is ours or that directory's owner's.
// Other links above the lock directory are the administrator's business.
func checkAncestors(dir string) error {
	for path := filepath.Dir(dir); ; path = filepath.Dir(path) {
		parent := filepath.Dir(path)
		if parent == path {
			return nil
		}
		info, err := os.Lstat(path)
		if errors.Is(err, fs.ErrNotExist) || err == nil && info.Mode()&fs.ModeSymlink == 0 {
			continue
		}
		if err != nil {
			return err
		}
		above, err := os.Stat(parent)
		if err != nil {
			return err
		}
		if planted(info, above) {
			return fmt.Errorf("%w: %q is a symbolic link made by another user in a directory that everybody can write", ErrUnsafe, path)
		}
	}
}
