//go:build unix

package main

import (
	"context"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// waitHangup reports that nobody reads w any more, or waits for the end of ctx.
// A program that writes rarely would otherwise outlive its reader until the
// next write. It looks a few times a second, since poll cannot wait for ctx.
func waitHangup(ctx context.Context, w io.Writer) bool {
	const patienceMillis = 250
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	for ctx.Err() == nil {
		// No events are asked for: errors and hang-ups are reported anyway.
		fds := []unix.PollFd{{Fd: int32(f.Fd())}}
		n, err := unix.Poll(fds, patienceMillis)
		if err != nil && err != unix.EINTR {
			return false
		}
		if n > 0 && fds[0].Revents&(unix.POLLERR|unix.POLLHUP) != 0 {
			return true
		}
		if n > 0 && fds[0].Revents&unix.POLLNVAL != 0 {
			return false
		}
	}
	return false
}
