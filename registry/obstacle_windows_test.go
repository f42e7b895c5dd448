package registry_test

import "golang.org/x/sys/windows"

var knownFailures = []knownFailure{
	{windows.ERROR_SHARING_VIOLATION, "busy", "another program has"},
	{windows.ERROR_LOCK_VIOLATION, "busy", "another program has"},
	{windows.ERROR_USER_MAPPED_FILE, "busy", "another program has"},
	{windows.ERROR_WRITE_PROTECT, "read-only", "mount it for writing"},
	{windows.ERROR_DISK_FULL, "space", "free some"},
	{windows.ERROR_DISK_QUOTA_EXCEEDED, "space", "quota"},
	{windows.ERROR_ACCESS_DENIED, "permission", "check with"},
}
