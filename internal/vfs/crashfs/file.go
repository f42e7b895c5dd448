package crashfs

import (
	"io"
	"io/fs"
	"syscall"

	"github.com/machreg/machreg/internal/vfs"
)

type file struct {
	fs       *FS
	name     string
	inode    *inode
	writable bool

	// guarded by FS.mu
	offset int
	closed bool
}

func (f *file) Name() string { return f.name }

// lock returns with FS.mu held, also if it returns an error.
func (f *file) lock(op string) error {
	f.fs.mu.Lock()
	if f.closed {
		return &fs.PathError{Op: op, Path: f.name, Err: fs.ErrClosed}
	}
	return nil
}

func (f *file) unlock() { f.fs.mu.Unlock() }

func (f *file) fail(op string, err error) error {
	return &fs.PathError{Op: op, Path: f.name, Err: err}
}

func (f *file) ReadAt(p []byte, off int64) (int, error) {
	err := f.lock("read")
	defer f.unlock()
	switch {
	case err != nil:
		return 0, err
	case off < 0:
		return 0, f.fail("read", syscall.EINVAL)
	case f.inode.isDir():
		return 0, f.fail("read", syscall.EISDIR)
	case len(p) == 0:
		return 0, nil
	case off >= int64(len(f.inode.data)):
		return 0, io.EOF
	}
	n := copy(p, f.inode.data[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (f *file) Write(p []byte) (int, error) {
	err := f.lock("write")
	defer f.unlock()
	switch {
	case err != nil:
		return 0, err
	case !f.writable:
		return 0, f.fail("write", syscall.EBADF)
	case len(p) == 0:
		return 0, nil
	}
	n := f.inode
	if end := f.offset + len(p); end > len(n.data) {
		n.data = append(n.data, make([]byte, end-len(n.data))...)
	}
	n.written(f.offset, f.offset+len(p), f.fs.opts.BlockSize)
	copy(n.data[f.offset:], p)
	f.offset += len(p)
	n.now.modTime = f.fs.timeLocked()
	return len(p), nil
}

func (f *file) Stat() (vfs.Info, error) {
	err := f.lock("stat")
	defer f.unlock()
	if err != nil {
		return vfs.Info{}, err
	}
	return f.inode.info(), nil
}

func (f *file) Chmod(mode fs.FileMode) error {
	err := f.lock("chmod")
	defer f.unlock()
	if err == nil {
		f.inode.now.mode = mode.Perm()
	}
	return err
}

// Chown leaves an id that is -1 as it is.
func (f *file) Chown(uid, gid int) error {
	err := f.lock("chown")
	defer f.unlock()
	if err == nil && uid != -1 {
		f.inode.now.uid = uid
	}
	if err == nil && gid != -1 {
		f.inode.now.gid = gid
	}
	return err
}

func (f *file) SetModTime(ns int64) error {
	err := f.lock("set times of")
	defer f.unlock()
	if err == nil {
		f.inode.now.modTime = ns
	}
	return err
}

func (f *file) Sync() error {
	err := f.lock("sync")
	defer f.unlock()
	if err != nil || f.inode.isDir() {
		return err
	}
	if err := f.fs.syncErrorLocked(f.name); err != nil {
		f.inode.drop(f.fs.opts.BlockSize)
		return f.fail("sync", err)
	}
	if !f.fs.opts.IgnoreSync {
		f.inode.sync(f.fs.opts.BlockSize)
	}
	return nil
}

// TryLock finds no locks here: whoever uses this file system is alone.
func (f *file) StartSync() {}

func (f *file) TryLock() (bool, error) { return true, nil }

func (f *file) Unlock() error { return nil }

func (f *file) Close() error {
	err := f.lock("close")
	defer f.unlock()
	if err == nil {
		f.closed = true
		f.inode.opens--
		f.fs.releaseLocked(f.inode)
	}
	return err
}
