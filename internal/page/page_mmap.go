//go:build linux || darwin || freebsd

package page

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// lookAt tells what is at path, and does not follow it if it is a link.
func lookAt(path string) (place, error) {
	var st unix.Stat_t
	if err := unix.Fstatat(unix.AT_FDCWD, path, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return place{}, &fs.PathError{Op: "stat", Path: path, Err: err}
	}
	return placeOf(&st), nil
}

func placeOf(st *unix.Stat_t) place {
	regular := st.Mode&unix.S_IFMT == unix.S_IFREG
	return place{
		device:  uint64(st.Dev),
		inode:   uint64(st.Ino),
		regular: regular,
		whole:   regular && st.Size >= size,
	}
}

// openAt maps the page that lookAt found at path, for writing if that is
// allowed.
func openAt(path string, at place, binding uint64) (*Mapping, error) {
	if err := supported(filepath.Dir(path)); err != nil {
		return nil, err
	}
	if !at.whole {
		return nil, fmt.Errorf("%q: %w", path, errDamaged)
	}
	m, err := openMode(path, true)
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, unix.EROFS) {
		m, err = openMode(path, false)
	}
	if err != nil {
		return nil, err
	}
	if !m.isPage() {
		return nil, fmt.Errorf("%q: %w", path, errDamaged)
	}
	b, _ := m.load(offBinding / 8)
	m.foreign = b != binding
	return m, nil
}

func openMode(path string, writable bool) (*Mapping, error) {
	flag := os.O_RDONLY
	if writable {
		flag = os.O_RDWR
	}
	f, err := os.OpenFile(path, flag|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return mapFile(f, writable)
}

func mapFile(f *os.File, writable bool) (*Mapping, error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return nil, &fs.PathError{Op: "stat", Path: f.Name(), Err: err}
	}
	prot := unix.PROT_READ
	if writable {
		prot |= unix.PROT_WRITE
	}
	data, err := unix.Mmap(int(f.Fd()), 0, size, prot, unix.MAP_SHARED)
	if err != nil {
		return nil, &fs.PathError{Op: "map", Path: f.Name(), Err: err}
	}
	m := &Mapping{
		words:    (*[size / 8]uint64)(unsafe.Pointer(unsafe.SliceData(data))),
		at:       placeOf(&st),
		writable: writable,
	}
	runtime.AddCleanup(m, func(data []byte) { unix.Munmap(data) }, data)
	return m, nil
}

// retireAt makes the sequence of the damaged page odd, for whoever has mapped
// it while it was whole. An empty file needs nothing, since loads from it
// fault; of one that was cut off further on, the rest of its last page can
// still be loaded, and what is stored there would not last. One that is gone
// meanwhile can no longer be reached.
func retireAt(path string, at place) error {
	if !at.regular {
		return nil
	}
	f, err := os.OpenFile(path, os.O_RDWR|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if info.Size() == 0 {
		return nil
	}
	if info.Size() < size {
		if err := f.Truncate(size); err != nil {
			return err
		}
	}
	m, err := mapFile(f, true)
	if err == nil && !m.retire() {
		err = errDamaged
	}
	return err
}
