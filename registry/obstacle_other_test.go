//go:build !windows

package registry_test

import "syscall"

var knownFailures = []knownFailure{
	{syscall.EBUSY, "busy", "mount the directory"},
	{syscall.EROFS, "read-only", "mount it for writing"},
	{syscall.ENOSPC, "space", "free some"},
	{syscall.EDQUOT, "space", "quota"},
	{syscall.EPERM, "permission", "check with"},
}
