package filelock

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/gofrs/flock"
)

// ErrUnsafe is matched by the error for a lock directory or lock file that
// somebody else could have planted or could replace.
var ErrUnsafe = errors.New("not safe to lock")

// filePerm is narrowed by the umask: who may share a lock is a matter of the
// umask and of the lock directory, not of this package.
const filePerm fs.FileMode = 0o666

// makeFile makes the lock file at path, or a companion, if it is missing. One that
// is shared has its permissions before it has its name: another process may lock
// it at once, and go by them.
func (l *Lock) makeFile(path string) error {
	if l.like != "" {
		if made, err := l.linkFile(path); made || errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL|openFlags, filePerm)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	l.handOver(f)
	return f.Close()
}

// tempSuffix ends the names of files that are being made in the lock directory:
// the name that they will have, and a number.
const tempSuffix = ".tmp"

// Sweep removes what processes left that died while they made one of the lock's
// files. It does nothing in a shared hold. One that is making such a file now
// begins again.
func (h *Held) Sweep() error {
	if h.mode != exclusive {
		return nil
	}
	entries, err := os.ReadDir(h.lock.dir)
	if err != nil {
		return fmt.Errorf("sweep lock %q: %w", h.lock.path, err)
	}
	prefix := filepath.Base(h.lock.path) + "."
	for _, e := range entries {
		name := e.Name()
		if !strings.HasPrefix(name, prefix) || !strings.HasSuffix(name, tempSuffix) {
			continue
		}
		if err := removeCompanion(filepath.Join(h.lock.dir, name)); err != nil {
			return fmt.Errorf("sweep lock %q: %w", h.lock.path, err)
		}
	}
	return nil
}

// linkFile reports whether there is a file at path afterwards. Not every file
// system has links.
func (l *Lock) linkFile(path string) (made bool, err error) {
	if runtime.GOOS == "windows" {
		return false, nil // permissions are inherited there
	}
	temp, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*"+tempSuffix)
	if err != nil {
		return false, err
	}
	defer os.Remove(temp.Name())
	known := l.handOver(temp)
	if err := temp.Close(); err != nil || !known {
		return false, err
	}
	err = os.Link(temp.Name(), path)
	if err == nil || errors.Is(err, fs.ErrExist) {
		return true, nil
	}
	return false, err
}

// tryOpen opens the file and tries to lock it; a missing one is an error that
// matches [fs.ErrNotExist]. Not ok and no error means that
// the lock is taken; the returned Flock is then closed and opens the file in the
// same way when it is locked again.
func tryOpen(path string, m mode) (_ *flock.Flock, ok bool, err error) {
	if followsLinks {
		info, err := os.Lstat(path)
		if err == nil {
			err = checkRegular(path, info)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, false, err
		}
	}
	for _, flag := range []int{os.O_RDWR, os.O_RDONLY} {
		// A file that may only be read can still be locked: shared by who may read
		// it, exclusively by who might replace it. fcntl allows that to neither.
		if flag == os.O_RDONLY && m == exclusive && (processWideLocks || !mayWrite(filepath.Dir(path))) {
			break
		}
		fl := flock.New(path, flock.SetFlag(flag|openFlags), flock.SetPermissions(filePerm))
		ok, tryErr := retryInterrupted(func() (bool, error) {
			if m == shared {
				return fl.TryRLock()
			}
			return fl.TryLock()
		})
		if tryErr == nil {
			return fl, ok, nil
		}
		if isBusy(tryErr) {
			return fl, false, nil
		}
		if err == nil {
			err = tryErr
		}
		if !errors.Is(tryErr, fs.ErrPermission) && !isReadOnly(tryErr) {
			break
		}
	}
	return nil, false, explainOpen(path, err)
}

func lockBlocking(fl *flock.Flock, m mode) error {
	_, err := retryInterrupted(func() (bool, error) {
		if m == shared {
			return true, fl.RLock()
		}
		return true, fl.Lock()
	})
	if err != nil {
		return explainOpen(fl.Path(), err)
	}
	return nil
}

// unlockTries is how often an unlock is tried. A network file system may refuse
// one for a passing reason, and a lock that stays locked keeps everybody out
// until this process ends, or at best until the garbage collector closes the
// file.
const unlockTries = 3

func unlock(fl *flock.Flock) (err error) {
	for range unlockTries {
		if _, err = retryInterrupted(func() (bool, error) { return true, fl.Unlock() }); err == nil {
			return nil
		}
	}
	return err
}

func retryInterrupted(call func() (bool, error)) (bool, error) {
	for {
		ok, err := call()
		if !isInterrupted(err) {
			return ok, err
		}
	}
}

// explainOpen replaces the error of an open that was refused because of what is
// at the path (systems differ in how they call a symbolic link there).
func explainOpen(path string, err error) error {
	info, statErr := os.Lstat(path)
	if statErr != nil {
		return err
	}
	if unsafe := checkRegular(path, info); unsafe != nil {
		return unsafe
	}
	return err
}

func checkRegular(path string, info os.FileInfo) error {
	if info.Mode().IsRegular() {
		return nil
	}
	return fmt.Errorf("%w: %q is %s, not a regular file", ErrUnsafe, path, kindOf(info.Mode()))
}

func kindOf(m fs.FileMode) string {
	switch {
	case m&fs.ModeSymlink != 0:
		return "a symbolic link"
	case m.IsDir():
		return "a directory"
	case m&fs.ModeNamedPipe != 0:
		return "a named pipe"
	case m&fs.ModeSocket != 0:
		return "a socket"
	case m&fs.ModeDevice != 0:
		return "a device"
	case m.IsRegular():
		return "a regular file"
	}
	return "a special file"
}
