//go:build linux || darwin || freebsd

package page

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/machreg/machreg/internal/vfs"
)

// supported refuses a file system on which a shared mapping is not known to be the
// same memory for all processes that can open the file.
func supported(dir string) error {
	on, err := vfs.FileSystemOf(dir)
	if err != nil {
		return fmt.Errorf("%w: %v", ErrUnsupported, err)
	}
	if !on.Coherent() {
		return fmt.Errorf("%w: %v is not known to be local", ErrUnsupported, on)
	}
	return nil
}

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
