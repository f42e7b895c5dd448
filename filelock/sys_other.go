//go:build !unix && !windows

package filelock

import (
	"errors"
	"os"
)

const (
	openFlags    = 0
	followsLinks = true
)

func isInterrupted(error) bool { return false }

func isReadOnly(error) bool { return false }

func isBusy(error) bool { return false }

func isInUse(string, error) bool { return false }

func isBeingDeleted(error) bool { return false }

func removeLocked(path string, release func() error) error {
	return errors.Join(os.Remove(path), release())
}

func mayWrite(string) bool { return false }

func writableByOthers(os.FileInfo) bool { return false }

func planted(_, _ os.FileInfo) bool { return false }
