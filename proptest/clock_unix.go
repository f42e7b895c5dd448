//go:build unix

package proptest

import "golang.org/x/sys/unix"

// now is the time in nanoseconds on a clock that all processes of this machine
// share and that never goes back.
func now() int64 {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		panic("proptest: no monotonic clock: " + err.Error())
	}
	return ts.Nano()
}
