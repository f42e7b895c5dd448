package errorfs

import (
	"io"
	"io/fs"

	"github.com/machreg/machreg/internal/vfs"
)

type file struct {
	base vfs.File
	fs   *FS
}

func (f *file) op(k Kind) Op { return Op{Kind: k, Path: f.base.Name()} }

func (f *file) Name() string { return f.base.Name() }

func (f *file) ReadAt(p []byte, off int64) (int, error) {
	return f.move(ReadAt, p, func(p []byte) (int, error) { return f.base.ReadAt(p, off) })
}

func (f *file) Write(p []byte) (int, error) {
	return f.move(Write, p, f.base.Write)
}

func (f *file) move(k Kind, p []byte, run func([]byte) (int, error)) (int, error) {
	op := f.op(k)
	op.Bytes = len(p)
	fault := f.fs.begin(op)
	if fault == nil {
		return run(p)
	}
	switch fault.how {
	case short:
		n, err := run(p[:len(p)/2])
		if err == nil {
			err = fault.shortErr(k)
			if fault.err != nil {
				err = op.failed(err)
			}
		}
		return n, err
	case after:
		if n, err := run(p); err != nil && err != io.EOF {
			return n, err
		}
	}
	return 0, op.failed(fault.err)
}

func (f *file) Stat() (vfs.Info, error) {
	op := f.op(FileStat)
	if fault := f.fs.begin(op); fault != nil {
		return vfs.Info{}, op.failed(fault.err)
	}
	return f.base.Stat()
}

func (f *file) Chmod(mode fs.FileMode) error {
	return f.fs.do(f.op(Chmod), func() error { return f.base.Chmod(mode) })
}

func (f *file) Chown(uid, gid int) error {
	return f.fs.do(f.op(Chown), func() error { return f.base.Chown(uid, gid) })
}

func (f *file) SetModTime(ns int64) error {
	return f.fs.do(f.op(SetModTime), func() error { return f.base.SetModTime(ns) })
}

// StartSync cannot fail, and is not counted.
func (f *file) StartSync() { f.base.StartSync() }

func (f *file) Sync() error {
	return f.fs.do(f.op(Sync), f.base.Sync)
}

// TryLock and Unlock pass: a lock that cannot be had is nothing that a fault
// could make worse.
func (f *file) TryLock() (bool, error) { return f.base.TryLock() }

func (f *file) Unlock() error { return f.base.Unlock() }

func (f *file) Close() error {
	return f.fs.do(f.op(Close), f.base.Close)
}
