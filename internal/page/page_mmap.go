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

type identity struct{ device, inode uint64 }

func identityOf(st *unix.Stat_t) identity { return identity{uint64(st.Dev), uint64(st.Ino)} }

func identify(path string) (identity, error) {
	var st unix.Stat_t
	if err := unix.Fstatat(unix.AT_FDCWD, path, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return identity{}, &fs.PathError{Op: "stat", Path: path, Err: err}
	}
	return identityOf(&st), nil
}

// open maps the page at path, for writing if that is allowed.
func open(path string, binding uint64) (*Mapping, error) {
	if err := supported(filepath.Dir(path)); err != nil {
		return nil, err
	}
	m, err := openMode(path, true)
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, unix.EROFS) {
		m, err = openMode(path, false)
	}
	if err != nil {
		return nil, err
	}
	magic, ok := m.load(offMagic / 8)
	if !ok || magic != magicWord {
		return nil, fmt.Errorf("%q: %w", path, errDamaged)
	}
	if b, _ := m.load(offBinding / 8); b != binding {
		return nil, fmt.Errorf("%q: %w", path, ErrForeign)
	}
	return m, nil
}

func openMode(path string, writable bool) (*Mapping, error) {
	flag, prot := os.O_RDONLY, unix.PROT_READ
	if writable {
		flag, prot = os.O_RDWR, unix.PROT_READ|unix.PROT_WRITE
	}
	f, err := os.OpenFile(path, flag|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return nil, &fs.PathError{Op: "stat", Path: path, Err: err}
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG || st.Size < size {
		return nil, fmt.Errorf("%q: %w", path, errDamaged)
	}
	data, err := unix.Mmap(int(f.Fd()), 0, size, prot, unix.MAP_SHARED)
	if err != nil {
		return nil, &fs.PathError{Op: "map", Path: path, Err: err}
	}
	m := &Mapping{
		words:    (*[size / 8]uint64)(unsafe.Pointer(unsafe.SliceData(data))),
		id:       identityOf(&st),
		writable: writable,
	}
	runtime.AddCleanup(m, func(data []byte) { unix.Munmap(data) }, data)
	return m, nil
}

// retireAt makes the sequence of a damaged page odd, for whoever has mapped it
// while it was whole. A file too short for a sequence needs nothing: loads
// from it fault.
func retireAt(path string) error {
	m, err := openMode(path, true)
	switch {
	case errors.Is(err, errDamaged):
		return nil
	case err != nil:
		return err
	}
	m.retire()
	return nil
}
