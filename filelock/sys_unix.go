//go:build unix

package filelock

import (
	"errors"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

const noFollow = unix.O_NOFOLLOW

// noBlock keeps the opening of a named pipe for reading from waiting for a writer.
const noBlock = unix.O_NONBLOCK

func isInterrupted(err error) bool { return errors.Is(err, unix.EINTR) }

func isReadOnly(err error) bool { return errors.Is(err, unix.EROFS) }

// isBusy recognizes a taken lock that gofrs/flock reports as an error: its
// emulation with record locks knows one of the two codes POSIX allows.
func isBusy(err error) bool { return processWideLocks && errors.Is(err, unix.EAGAIN) }

// isShared recognizes the refusal to delete a file that is open elsewhere.
func isShared(error) bool { return false }

// removeLocked removes the lock file whose lock is held, then releases it.
func removeLocked(path string, release func() error) error {
	return errors.Join(os.Remove(path), release())
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
