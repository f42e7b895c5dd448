//go:build darwin || freebsd

package page

import (
	"fmt"

	"golang.org/x/sys/unix"
)

func supported(dir string) error {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return fmt.Errorf("%w: statfs %q: %v", ErrUnsupported, dir, err)
	}
	if uint64(st.Flags)&unix.MNT_LOCAL == 0 {
		return fmt.Errorf("%w: the file system is not local", ErrUnsupported)
	}
	return nil
}
