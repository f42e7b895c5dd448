//go:build aix || solaris

package vfs

import "errors"

// flock is missing here, and record locks are given up when any descriptor of
// the file is closed.
func flock(int, int) error { return errors.ErrUnsupported }
