//go:build unix

package vfs

import (
	"errors"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

func (osFS) Open(name string) (File, error) {
	// O_NONBLOCK: opening a FIFO nobody writes to must fail or return, so
	// that the caller can look at what it got.
	f, err := os.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

func (osFS) Create(name string, perm fs.FileMode) (File, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL|dontPoll, perm)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

// dontPoll means nothing for a regular file or a directory, and saves four
// system calls in which the Go runtime would try whether it can be polled.
const dontPoll = unix.O_NONBLOCK

func (osFS) Stat(name string) (Info, error) { return stat(name, 0) }

func (osFS) Lstat(name string) (Info, error) { return stat(name, unix.AT_SYMLINK_NOFOLLOW) }

func stat(name string, flags int) (Info, error) {
	info, err := statName(name, flags)
	if err != nil {
		return Info{}, &fs.PathError{Op: "stat", Path: name, Err: err}
	}
	return info, nil
}

// readLink returns where the link at name leads, or "" if it is no link.
func readLink(name string) (string, error) {
	var buf [unix.PathMax]byte
	var n int
	err := retry(func() (err error) {
		n, err = unix.Readlink(name, buf[:])
		return err
	})
	if err == unix.EINVAL {
		return "", nil
	}
	return string(buf[:max(n, 0)]), err
}

// properName returns name: a path has one spelling here.
func properName(name string) string { return name }

// Rename does not go through os.Rename, which looks at the target first: one
// system call less, and the kernel refuses a directory as well.
func (osFS) Rename(oldname, newname string) error {
	err := retry(func() error { return unix.Renameat(unix.AT_FDCWD, oldname, unix.AT_FDCWD, newname) })
	if err != nil {
		return &os.LinkError{Op: "rename", Old: oldname, New: newname, Err: err}
	}
	return nil
}

func (osFS) OpenDir(name string) (Dir, error) {
	d, err := os.OpenFile(name, os.O_RDONLY|unix.O_DIRECTORY|dontPoll, 0)
	if err != nil {
		return nil, err
	}
	return osDir{d}, nil
}

type osDir struct{ *os.File }

func (d osDir) Sync() error {
	err := d.File.Sync()
	// Some network and FUSE file systems have no such thing as syncing a
	// directory; they cannot be asked for more than the rename.
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOTSUP) {
		err = nil
	}
	return err
}

func (f osFile) Stat() (Info, error) {
	info, err := statDescriptor(int(f.Fd()))
	if err != nil {
		return Info{}, &fs.PathError{Op: "stat", Path: f.Name(), Err: err}
	}
	return info, nil
}

func (f osFile) SetModTime(ns int64) error {
	if err := setTimes(f.Name(), ns); err != nil {
		return &fs.PathError{Op: "set times of", Path: f.Name(), Err: err}
	}
	return nil
}

func (f osFile) TryLock() (bool, error) {
	err := f.flock(unix.LOCK_EX | unix.LOCK_NB)
	switch {
	case err == nil:
		return true, nil
	case errors.Is(err, unix.EWOULDBLOCK):
		return false, nil
	case errors.Is(err, os.ErrClosed), errors.Is(err, unix.EIO):
		return false, err
	}
	return true, nil // no such locks here
}

func (f osFile) Unlock() error { return f.flock(unix.LOCK_UN) }

// flock goes through the runtime's reference to the descriptor, so that a
// Close at the same moment cannot hand its number to another file.
func (f osFile) flock(how int) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	cerr := raw.Control(func(fd uintptr) {
		err = retry(func() error { return flock(int(fd), how) })
	})
	if cerr != nil {
		return cerr
	}
	if err != nil {
		return &fs.PathError{Op: "lock", Path: f.Name(), Err: err}
	}
	return nil
}

// The plain system calls. Their times end in 2038 on 32-bit Linux.

func plainStatName(name string, flags int) (Info, error) {
	var st unix.Stat_t
	err := retry(func() error { return unix.Fstatat(unix.AT_FDCWD, name, &st, flags) })
	return infoOf(&st), err
}

func plainStatDescriptor(fd int) (Info, error) {
	var st unix.Stat_t
	err := retry(func() error { return unix.Fstat(fd, &st) })
	return infoOf(&st), err
}

func plainSetTimes(name string, ns int64) error {
	t := unix.NsecToTimespec(ns)
	return retry(func() error {
		return unix.UtimesNanoAt(unix.AT_FDCWD, name, []unix.Timespec{t, t}, unix.AT_SYMLINK_NOFOLLOW)
	})
}

func infoOf(st *unix.Stat_t) Info {
	return Info{
		Device:  uint64(st.Dev),
		Inode:   uint64(st.Ino),
		Size:    st.Size,
		ModTime: int64(st.Mtim.Sec)*1e9 + int64(st.Mtim.Nsec),
		Mode:    modeOf(uint32(st.Mode)),
		Links:   uint64(st.Nlink),
		UID:     int(st.Uid),
		GID:     int(st.Gid),
	}
}

func modeOf(m uint32) fs.FileMode {
	mode := fs.FileMode(m & 0o777)
	switch m & unix.S_IFMT {
	case unix.S_IFREG:
	case unix.S_IFDIR:
		mode |= fs.ModeDir
	case unix.S_IFLNK:
		mode |= fs.ModeSymlink
	case unix.S_IFIFO:
		mode |= fs.ModeNamedPipe
	case unix.S_IFSOCK:
		mode |= fs.ModeSocket
	case unix.S_IFCHR:
		mode |= fs.ModeDevice | fs.ModeCharDevice
	case unix.S_IFBLK:
		mode |= fs.ModeDevice
	default:
		mode |= fs.ModeIrregular
	}
	return mode
}

// retry repeats a system call that a signal interrupted; network and FUSE file
// systems return EINTR where local ones do not.
func retry(call func() error) error {
	for {
		if err := call(); err != unix.EINTR {
			return err
		}
	}
}

// InodesRecycle reports whether the file system may give the inode number of
// a deleted file to a new one: an equal number then proves something only
// while a descriptor of the file is open.
const InodesRecycle = true
