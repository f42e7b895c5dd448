package vfs

import (
	"fmt"
	"io/fs"
	"math"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// fileSystems are those that matter here, by the number that the kernel gives
// them. What is missing is of the kind Unknown.
var fileSystems = map[uint32]FileSystem{
	unix.EXT4_SUPER_MAGIC:      {Name: "ext4", Kind: Disk}, // ext2 and ext3 too
	unix.XFS_SUPER_MAGIC:       {Name: "xfs", Kind: Disk},
	unix.BTRFS_SUPER_MAGIC:     {Name: "btrfs", Kind: Disk},
	unix.F2FS_SUPER_MAGIC:      {Name: "f2fs", Kind: Disk},
	unix.BCACHEFS_SUPER_MAGIC:  {Name: "bcachefs", Kind: Disk},
	0x2fc12fc1:                 {Name: "zfs", Kind: Disk},
	unix.TMPFS_MAGIC:           {Name: "tmpfs", Kind: Memory},
	unix.RAMFS_MAGIC:           {Name: "ramfs", Kind: Memory},
	unix.OVERLAYFS_SUPER_MAGIC: {Name: "overlayfs", Kind: Stacked},
	// Also virtiofs, and everything that a program mounts: sshfs, bindfs, ntfs-3g,
	// gcsfuse, the shared folders of Docker Desktop.
	unix.FUSE_SUPER_MAGIC: {Name: "fuse", Kind: FUSE},
	unix.NFS_SUPER_MAGIC:  {Name: "nfs", Kind: Network},
	unix.SMB_SUPER_MAGIC:  {Name: "smb", Kind: Network},
	unix.SMB2_SUPER_MAGIC: {Name: "smb", Kind: Network},
	unix.CIFS_SUPER_MAGIC: {Name: "cifs", Kind: Network},
	unix.V9FS_MAGIC:       {Name: "9p", Kind: Network}, // of WSL and of virtual machines
	unix.CEPH_SUPER_MAGIC: {Name: "ceph", Kind: Network},
	unix.AFS_SUPER_MAGIC:  {Name: "afs", Kind: Network},
	unix.AFS_FS_MAGIC:     {Name: "afs", Kind: Network},
	unix.CODA_SUPER_MAGIC: {Name: "coda", Kind: Network},
	unix.NCP_SUPER_MAGIC:  {Name: "ncp", Kind: Network},
	0x786f4256:            {Name: "vboxsf", Kind: Network},
	0xbacbacbc:            {Name: "vmhgfs", Kind: Network},
	0x7c7c6673:            {Name: "prl_fs", Kind: Network},
	0x0bd00bd0:            {Name: "lustre", Kind: Network},
	0x19830326:            {Name: "beegfs", Kind: Network},
	0x20030528:            {Name: "orangefs", Kind: Network},
	0x47504653:            {Name: "gpfs", Kind: Network},
}

func fileSystemOf(path string) (FileSystem, error) {
	var st unix.Statfs_t
	if err := retry(func() error { return unix.Statfs(path, &st) }); err != nil {
		return FileSystem{}, &fs.PathError{Op: "statfs", Path: path, Err: err}
	}
	number := uint32(st.Type)
	info, known := fileSystems[number]
	if !known {
		info.Name = fmt.Sprintf("file system %#x", number)
	}
	info.ReadOnly = st.Flags&unix.ST_RDONLY != 0
	info.Free = freeOf(st.Blocks, st.Bfree, st.Bavail, uint64(st.Bsize))
	return info, nil
}

// freeOf leaves what is reserved to root. A file system without a size has no
// blocks.
func freeOf(blocks, free, available, size uint64) int64 {
	if os.Geteuid() != 0 {
		free = available
	}
	if blocks == 0 || size == 0 || free > math.MaxInt64/size {
		return -1
	}
	return int64(free * size)
}

func flagsOf(path string) (Flags, error) {
	var st unix.Statx_t
	err := retry(func() error {
		return unix.Statx(unix.AT_FDCWD, path, unix.AT_SYMLINK_NOFOLLOW|unix.AT_NO_AUTOMOUNT, 0, &st)
	})
	if err == unix.ENOSYS || err == unix.EPERM { // an old kernel, or a sandbox that is older
		mounted, err := isInMountTable(path)
		return Flags{MountPoint: mounted}, err
	}
	if err != nil {
		return Flags{}, &fs.PathError{Op: "statx", Path: path, Err: err}
	}
	flags := Flags{
		MountPoint: st.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0,
		Immutable:  st.Attributes&unix.STATX_ATTR_IMMUTABLE != 0,
		AppendOnly: st.Attributes&unix.STATX_ATTR_APPEND != 0,
	}
	if st.Attributes_mask&unix.STATX_ATTR_MOUNT_ROOT == 0 { // before Linux 5.8
		flags.MountPoint, err = isInMountTable(path)
	}
	return flags, err
}

// isInMountTable looks for a path, which is free of links, among the mounts.
func isInMountTable(path string) (bool, error) {
	table, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return false, err
	}
	name := strings.NewReplacer(`\`, `\134`, " ", `\040`, "\t", `\011`, "\n", `\012`).Replace(path)
	for line := range strings.Lines(string(table)) {
		if fields := strings.Fields(line); len(fields) > 4 && fields[4] == name {
			return true, nil
		}
	}
	return false, nil
}
