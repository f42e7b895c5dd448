package compare

import "golang.org/x/sys/windows"

// clock is nanoseconds, in steps of 100, on a clock that all processes of this
// machine share. It is the time of day: setting it during a run spoils what is
// said about staleness, and nothing else.
func clock() int64 {
	var t windows.Filetime
	windows.GetSystemTimePreciseAsFileTime(&t)
	return t.Nanoseconds()
}
