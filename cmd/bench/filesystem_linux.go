package main

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// fileSystem names the one that a directory is on, as far as it is a common
// one: on one that is not on a disk, syncing costs nothing.
func fileSystem(dir string) string {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return "unknown file system"
	}
	names := map[int64]string{
		unix.EXT4_SUPER_MAGIC:  "ext4",
		unix.XFS_SUPER_MAGIC:   "xfs",
		unix.BTRFS_SUPER_MAGIC: "btrfs",
		unix.TMPFS_MAGIC:       "tmpfs (in memory: syncing costs nothing)",
		0x794c7630:             "overlayfs",
	}
	if name, ok := names[int64(st.Type)]; ok {
		return name
	}
	return fmt.Sprintf("file system %#x", st.Type)
}
