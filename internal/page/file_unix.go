//go:build unix

package page

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/machreg/machreg/internal/vfs"
)

// openFlags refuses a link, and does not wait for a pipe.
const openFlags = unix.O_NOFOLLOW | unix.O_NONBLOCK

func isReadOnly(err error) bool { return errors.Is(err, unix.EROFS) }

// shareLikeLock lets those write the new page who can take the lock, and no
// other user.
func (p *Page) shareLikeLock(f *os.File) error {
	lock, err := vfs.OS.Lstat(p.lock)
	if err != nil {
		return f.Chmod(0o644)
	}
	vfs.HandOver(f, lock)
	return nil
}

// trust refuses a page that a user can write who cannot take the lock: in a
// directory where everybody can make files, such as /tmp, that user may also
// have made it.
func (p *Page) trust(page vfs.Info) error {
	lock, err := vfs.OS.Lstat(p.lock)
	if errors.Is(err, fs.ErrNotExist) {
		lock, err = page, nil // there is no lock to take: its owner and the directory's decide
		lock.Mode &^= 0o022
	}
	if err != nil {
		return err
	}
	dir, err := vfs.OS.Stat(filepath.Dir(p.path))
	if err != nil {
		return err
	}
	shared := page.GID == lock.GID && lock.Mode&0o020 != 0 || lock.Mode&0o002 != 0
	owned := page.UID == lock.UID || page.UID == dir.UID || page.UID == os.Geteuid() || page.UID == 0
	switch {
	case page.Mode&0o002 != 0 && lock.Mode&0o002 == 0,
		page.Mode&0o020 != 0 && lock.Mode&0o002 == 0 && (lock.Mode&0o020 == 0 || page.GID != lock.GID),
		dir.Mode.Perm()&0o002 != 0 && !owned && !shared:
		return fmt.Errorf("%q (mode %v): %w; remove it", p.path, page.Mode, errUntrusted)
	}
	return nil
}
