//go:build unix

package filelock

import (
	"errors"

	"golang.org/x/sys/unix"
)

// signalLiveness asks by a signal that is checked and not sent.
func signalLiveness(pid int) Liveness {
	err := unix.Kill(pid, 0)
	switch {
	case err == nil, errors.Is(err, unix.EPERM):
		return Running
	case errors.Is(err, unix.ESRCH):
		return NotRunning
	}
	return LivenessUnknown
}
