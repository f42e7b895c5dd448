//go:build !windows

package registry

import "syscall"

var troubles = []struct {
	cause error
	is    trouble
}{
	{syscall.EBUSY, isBusy},
	{syscall.EROFS, isReadOnly},
	{syscall.ENOSPC, isFull},
	{syscall.EDQUOT, isOverQuota},
	{syscall.EISDIR, isDirectory},
}
