package filelock

import (
	"errors"
	"os"

	"golang.org/x/sys/windows"
)

// There is no O_NOFOLLOW, so files are looked at before and after they are opened.
const (
	openFlags    = 0
	followsLinks = true
)

func isInterrupted(error) bool { return false }

func isReadOnly(err error) bool { return errors.Is(err, windows.ERROR_WRITE_PROTECT) }

// isBusy recognizes the refusal to open a lock file that another process is
// deleting, or has open in a way that keeps others out.
func isBusy(err error) bool { return errors.Is(err, windows.ERROR_SHARING_VIOLATION) }

// isBeingDeleted recognizes what a file that is deleted, but still open
// somewhere, is refused with. A lack of permission has the same code.
func isBeingDeleted(err error) bool { return errors.Is(err, windows.ERROR_ACCESS_DENIED) }

// isInUse recognizes the refusal to delete the file at path because it is open
// elsewhere, or is being deleted.
func isInUse(path string, err error) bool {
	if isBeingDeleted(err) {
		_, err := os.Lstat(path)
		return err != nil
	}
	return isBusy(err)
}

// removeLocked releases the lock first, because Windows refuses to delete a file
// that is open, ours included. It is sound for the same reason: neither Go nor
// gofrs/flock opens files with FILE_SHARE_DELETE, so the deletion succeeds only
// if nobody holds the file or waits for it, and whoever opens the path
// afterwards gets the new file. A refusal means that the file is in use.
func removeLocked(path string, release func() error) error {
	if err := release(); err != nil {
		return err
	}
	err := os.Remove(path)
	if isInUse(path, err) || errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

func mayWrite(string) bool { return false }

// Permission bits are made up on Windows; access lists are not judged.
func writableByOthers(os.FileInfo) bool { return false }

func planted(_, _ os.FileInfo) bool { return false }
