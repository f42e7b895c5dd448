package snapshot

import (
	"errors"

	"golang.org/x/sys/windows"
)

// isOtherDevice recognizes a rename from one volume to another.
func isOtherDevice(err error) bool { return errors.Is(err, windows.ERROR_NOT_SAME_DEVICE) }
