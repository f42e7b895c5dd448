//go:build unix

package filelock

import (
	"errors"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// openFlags refuses a symbolic link as the last element of a path. O_NONBLOCK,
// which means nothing for the locking of a regular file, keeps the opening of a
// planted pipe or device from blocking, and saves four system calls in which the
// Go runtime would try whether the file can be polled.
const openFlags = unix.O_NOFOLLOW | unix.O_NONBLOCK

// followsLinks says that opening cannot refuse a symbolic link by itself.
const followsLinks = false

func isInterrupted(err error) bool { return errors.Is(err, unix.EINTR) }

func isReadOnly(err error) bool { return errors.Is(err, unix.EROFS) }

// isBusy recognizes a taken lock that gofrs/flock reports as an error: its
// emulation with record locks knows one of the two codes POSIX allows.
func isBusy(err error) bool { return processWideLocks && errors.Is(err, unix.EAGAIN) }

// isInUse recognizes the refusal to delete a file that is open elsewhere.
func isInUse(string, error) bool { return false }

func isBeingDeleted(error) bool { return false }

// removeLocked removes the lock file whose lock is held, then releases it.
func removeLocked(path string, release func() error) error {
	return errors.Join(os.Remove(path), release())
}

// mayWrite reports whether this process may make and remove files in dir.
func mayWrite(dir string) bool {
	return unix.Access(dir, unix.W_OK|unix.X_OK) == nil
}

func writableByOthers(info os.FileInfo) bool {
	return info.Mode().Perm()&0o002 != 0
}

func ownerOf(info os.FileInfo) (uid int, ok bool) {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, false
	}
	return int(st.Uid), true
}

// planted tells whether link, a symbolic link in directory parent, may have been
// put there by somebody who is not trusted: the rule by which Linux protects
// links in sticky directories, applied where it is switched off too.
func planted(link, parent os.FileInfo) bool {
	if parent.Mode()&fs.ModeSticky == 0 || !writableByOthers(parent) {
		return false
	}
	linkOwner, ok1 := ownerOf(link)
	dirOwner, ok2 := ownerOf(parent)
	return !ok1 || !ok2 || linkOwner != os.Geteuid() && linkOwner != dirOwner
}
