//go:build linux && (386 || arm || mips || mipsle)

package vfs

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// A kernel too old for the calls with 64-bit times, or a sandbox that does not
// know them, is asked by the plain ones.

func statName(name string, flags int) (Info, error) {
	var st unix.Statx_t
	err := retry(func() error {
		return unix.Statx(unix.AT_FDCWD, name, flags|unix.AT_STATX_SYNC_AS_STAT, unix.STATX_BASIC_STATS, &st)
	})
	if err == unix.ENOSYS || err == unix.EPERM {
		return plainStatName(name, flags)
	}
	return infoOfX(&st), err
}

var noName byte // the descriptor itself; a constant, so that no call allocates

func statDescriptor(fd int) (Info, error) {
	var st unix.Statx_t
	err := retry(func() error {
		_, _, errno := unix.Syscall6(unix.SYS_STATX, uintptr(fd), uintptr(unsafe.Pointer(&noName)),
			unix.AT_EMPTY_PATH|unix.AT_STATX_SYNC_AS_STAT, unix.STATX_BASIC_STATS, uintptr(unsafe.Pointer(&st)), 0)
		return errorOf(errno)
	})
	if err == unix.ENOSYS || err == unix.EPERM {
		return plainStatDescriptor(fd)
	}
	return infoOfX(&st), err
}

func setTimes(name string, ns int64) error {
	path, err := unix.BytePtrFromString(name)
	if err != nil {
		return err
	}
	type timespec struct{ sec, nsec int64 }
	sec, nsec := ns/1e9, ns%1e9
	if nsec < 0 {
		sec, nsec = sec-1, nsec+1e9
	}
	times := [2]timespec{{sec, nsec}, {sec, nsec}}
	at := unix.AT_FDCWD
	err = retry(func() error {
		_, _, errno := unix.Syscall6(unix.SYS_UTIMENSAT_TIME64, uintptr(at), uintptr(unsafe.Pointer(path)),
			uintptr(unsafe.Pointer(&times)), unix.AT_SYMLINK_NOFOLLOW, 0, 0)
		return errorOf(errno)
	})
	if err == unix.ENOSYS {
		return plainSetTimes(name, ns)
	}
	return err
}

// errorOf is an error that is nil without a number.
func errorOf(errno unix.Errno) error {
	if errno != 0 {
		return errno
	}
	return nil
}

func infoOfX(st *unix.Statx_t) Info {
	return Info{
		Device:  unix.Mkdev(st.Dev_major, st.Dev_minor),
		Inode:   st.Ino,
		Size:    int64(st.Size),
		ModTime: st.Mtime.Sec*1e9 + int64(st.Mtime.Nsec),
		Mode:    modeOf(uint32(st.Mode)),
		Links:   uint64(st.Nlink),
		UID:     int(st.Uid),
		GID:     int(st.Gid),
	}
}
