//go:build linux || darwin || freebsd

package page

import (
	"errors"
	"io/fs"
	"os"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/machreg/machreg/internal/vfs"
)

// mapAt maps the page at path, for writing if that is allowed.
func mapAt(path string) (*Mapping, error) {
	m, err := mapMode(path, os.O_RDWR, unix.PROT_READ|unix.PROT_WRITE)
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, unix.EROFS) {
		m, err = mapMode(path, os.O_RDONLY, unix.PROT_READ)
	}
	return m, err
}

func mapMode(path string, flag, prot int) (*Mapping, error) {
	f, err := os.OpenFile(path, flag|openFlags, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return nil, &fs.PathError{Op: "stat", Path: path, Err: err}
	}
	data, err := unix.Mmap(int(f.Fd()), 0, size, prot, unix.MAP_SHARED)
	if err != nil {
		return nil, &fs.PathError{Op: "map", Path: path, Err: err}
	}
	m := &Mapping{
		words:    (*[size / 8]uint64)(unsafe.Pointer(unsafe.SliceData(data))),
		at:       vfs.Info{Device: uint64(st.Dev), Inode: uint64(st.Ino)},
		writable: prot&unix.PROT_WRITE != 0,
	}
	runtime.AddCleanup(m, func(data []byte) { unix.Munmap(data) }, data)
	return m, nil
}
