//go:build !aix && (!solaris || illumos)

package filelock

// processWideLocks is false where a lock belongs to an open file.
const processWideLocks = false
