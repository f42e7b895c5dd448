//go:build !unix && !windows

package proptest

import "time"

// now is the time of day in nanoseconds: a history that was taken while
// somebody set the clock proves nothing.
func now() int64 { return time.Now().UnixNano() }
