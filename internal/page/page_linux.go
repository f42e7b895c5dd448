package page

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// local are the file systems on which a shared mapping is coherent between all
// processes that can open the file. Network and FUSE file systems are not
// here; nor is overlayfs, where a reader may have mapped the lower file that
// no writer touches; nor is anything unknown.
var local = map[int64]bool{
	unix.EXT4_SUPER_MAGIC:  true, // ext2 and ext3 too
	unix.XFS_SUPER_MAGIC:   true,
	unix.BTRFS_SUPER_MAGIC: true,
	unix.TMPFS_MAGIC:       true,
	unix.RAMFS_MAGIC:       true,
	unix.F2FS_SUPER_MAGIC:  true,
	0x2fc12fc1:             true, // ZFS
	0xca451a4e:             true, // bcachefs
}

func supported(dir string) error {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return fmt.Errorf("%w: statfs %q: %v", ErrUnsupported, dir, err)
	}
	if !local[int64(st.Type)&0xffffffff] {
		return fmt.Errorf("%w: file system type %#x is not known to be local", ErrUnsupported, uint32(st.Type))
	}
	return nil
}
