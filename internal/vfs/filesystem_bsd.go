//go:build darwin || freebsd

package vfs

import (
	"io/fs"
	"strings"

	"golang.org/x/sys/unix"
)

func statfs(path string) (st unix.Statfs_t, err error) {
	if err = retry(func() error { return unix.Statfs(path, &st) }); err != nil {
		err = &fs.PathError{Op: "statfs", Path: path, Err: err}
	}
	return st, err
}

func fileSystemOf(path string) (FileSystem, error) {
	st, err := statfs(path)
	if err != nil {
		return FileSystem{}, err
	}
	info := FileSystem{
		Name:     unix.ByteSliceToString(st.Fstypename[:]),
		Kind:     Disk,
		ReadOnly: uint64(st.Flags)&unix.MNT_RDONLY != 0,
		Free:     -1,
	}
	switch {
	case strings.Contains(info.Name, "fuse"): // macfuse, fusefs.sshfs
		info.Kind = FUSE
	case uint64(st.Flags)&unix.MNT_LOCAL == 0:
		info.Kind = Network
	case info.Name == "unionfs":
		info.Kind = Stacked
	case info.Name == "tmpfs":
		info.Kind = Memory
	}
	return info, nil
}

// The marks of chflags, which these systems number alike: of the owner and of
// the system.
const (
	immutable  = 0x2 | 0x20000
	appendOnly = 0x4 | 0x40000
)

func flagsOf(path string) (Flags, error) {
	var st unix.Stat_t
	if err := retry(func() error { return unix.Lstat(path, &st) }); err != nil {
		return Flags{}, &fs.PathError{Op: "lstat", Path: path, Err: err}
	}
	flags := Flags{Immutable: st.Flags&immutable != 0, AppendOnly: st.Flags&appendOnly != 0}
	if uint32(st.Mode)&unix.S_IFMT == unix.S_IFLNK {
		return flags, nil
	}
	mount, err := statfs(path)
	flags.MountPoint = err == nil && unix.ByteSliceToString(mount.Mntonname[:]) == path
	return flags, err
}
