//go:build !windows

package snapshot

import (
	"errors"
	"syscall"
)

// isOtherDevice recognizes a rename from one file system to another.
func isOtherDevice(err error) bool { return errors.Is(err, syscall.EXDEV) }
