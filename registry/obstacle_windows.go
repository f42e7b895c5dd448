package registry

import (
	"syscall"

	"golang.org/x/sys/windows"
)

// A rename over a file that another program has open without sharing it for
// deletion is "access denied" on some file systems, as is a lack of permission.
var troubles = []struct {
	cause error
	is    trouble
}{
	{windows.ERROR_SHARING_VIOLATION, isOpenElsewhere},
	{windows.ERROR_LOCK_VIOLATION, isOpenElsewhere},
	{windows.ERROR_USER_MAPPED_FILE, isOpenElsewhere},
	{windows.ERROR_WRITE_PROTECT, isReadOnly},
	{windows.ERROR_DISK_FULL, isFull},
	{windows.ERROR_HANDLE_DISK_FULL, isFull},
	{windows.ERROR_DISK_QUOTA_EXCEEDED, isOverQuota},
	{syscall.EISDIR, isDirectory},
}
