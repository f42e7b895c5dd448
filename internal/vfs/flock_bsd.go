//go:build unix && !aix && !solaris

package vfs

import "golang.org/x/sys/unix"

func flock(fd, how int) error { return unix.Flock(fd, how) }
