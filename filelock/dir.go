package filelock

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// dirPerm is narrowed by the umask.
const dirPerm fs.FileMode = 0o755

// prepareDir makes sure that the lock directory exists and can be trusted. The
// check comes before every acquisition, because the directory may be replaced
// between two of them. It begins again if somebody deletes the directory while
// it is being made.
func (l *Lock) prepareDir() error {
	for vanished := 0; ; vanished++ {
		err := l.prepareDirOnce()
		if !errors.Is(err, fs.ErrNotExist) || vanished == maxVanished {
			return err
		}
	}
}

func (l *Lock) prepareDirOnce() error {
	info, err := os.Lstat(l.dir)
	if errors.Is(err, fs.ErrNotExist) {
		// Look before creating: a planted link among the ancestors would have the
		// directory made somewhere else.
		if err := checkAncestors(l.dir); err != nil {
			return err
		}
		if err := os.MkdirAll(l.dir, dirPerm); err != nil {
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
