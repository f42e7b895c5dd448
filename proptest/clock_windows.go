package proptest

import "golang.org/x/sys/windows"

// now is the time in nanoseconds, in steps of 100, on a clock that all
// processes of this machine share. It is the system's time of day: a history
// that was taken while somebody set the clock proves nothing.
func now() int64 {
	var t windows.Filetime
	windows.GetSystemTimePreciseAsFileTime(&t)
	return t.Nanoseconds()
}
