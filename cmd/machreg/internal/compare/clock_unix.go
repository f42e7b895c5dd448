//go:build unix

package compare

import "golang.org/x/sys/unix"

// clock is nanoseconds on a clock that all processes of this machine share and
// that never goes back.
func clock() int64 {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		panic("compare: no monotonic clock: " + err.Error())
	}
	return ts.Nano()
}
