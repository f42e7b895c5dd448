// Package vfs is the one door through which machreg reaches the file system,
// so that every call a crash or a fault can hit may be made to fail or be
// forgotten in a test.
//
// The interface holds what a registry file and its lock directory need and no
// more. [OS] is the real file system. An implementation must keep two
// properties that the commit protocol rests on: Rename replaces its target in
// one step, and an Info taken from an open File describes that file for as
// long as it is open, whatever happens to its name.
package vfs

import (
	"errors"
	"io"
	"io/fs"
)

// ErrInUse is matched by the error of a Rename whose target another program has
// open in a way that forbids to replace it. Nothing was changed, and the same call
// succeeds once the program has closed the file. Only Windows knows this.
var ErrInUse = errors.New("open in a program that does not let it be replaced")

// FS is a file system. All methods are safe for concurrent use; every path is
// absolute or relative to the working directory, never a pattern.
type FS interface {
	// Open opens name for reading without waiting: a FIFO or a device does
	// not block it. It follows symbolic links.
	Open(name string) (File, error)
	// Create makes a new file for writing and reading. It is an error that
	// wraps fs.ErrExist if the name exists in any form, a dangling symbolic
	// link included.
	Create(name string, perm fs.FileMode) (File, error)
	// Stat describes name, following symbolic links. A missing file is an
	// error that wraps fs.ErrNotExist.
	Stat(name string) (Info, error)
	// Lstat is Stat, but describes a symbolic link itself.
	Lstat(name string) (Info, error)
	// Resolve follows the symbolic links on the way of an absolute path.
	Resolve(path string) (Route, error)
	// Mkdir makes one directory. It is an error that wraps fs.ErrExist if the
	// name exists, and one that wraps fs.ErrNotExist if its parent does not.
	Mkdir(name string, perm fs.FileMode) error
	// Rename replaces newname by oldname in one step. It does not wait for a
	// program that is in the way; see [ErrInUse].
	Rename(oldname, newname string) error
	Remove(name string) error
	// ReadNames lists the names in a directory in no particular order.
	ReadNames(dir string) ([]string, error)
	// OpenDir opens a directory, for its Sync.
	OpenDir(name string) (Dir, error)
}

// Dir is an open directory.
type Dir interface {
	// Sync makes the directory's entries durable: after it returns nil, a
	// rename in the directory survives a loss of power. It reports, once, also
	// a failure to write them that happened since the directory was opened,
	// whatever other descriptor was told of that before: a system that drops
	// what it failed to write can then not make it look durable. (Linux does.)
	Sync() error
	Close() error
}

// WithSync is d with another Sync: for file systems that wrap another.
func WithSync(d Dir, sync func() error) Dir { return syncedBy{d, sync} }

type syncedBy struct {
	Dir
	sync func() error
}

func (d syncedBy) Sync() error { return d.sync() }

// SyncDir opens a directory and makes its entries durable.
func SyncDir(f FS, name string) error {
	d, err := f.OpenDir(name)
	if err != nil {
		return err
	}
	err = d.Sync()
	if cerr := d.Close(); err == nil {
		err = cerr
	}
	return err
}

// Route is where a path leads.
type Route struct {
	// Target is where the path leads to: absolute, and free of links as far as
	// it exists.
	Target string
	// Links are the links on the way, in the order in which they were
	// followed; the directory of each is free of links.
	Links []string
}

// File is one open file. Of its methods ReadAt, TryLock, Unlock and Close are
// safe for concurrent use, the others are not.
type File interface {
	io.ReaderAt
	io.Writer
	// Stat describes the open file without allocating on success.
	Stat() (Info, error)
	Chmod(mode fs.FileMode) error
	Chown(uid, gid int) error
	// SetModTime sets the modification time, in nanoseconds since 1970.
	SetModTime(ns int64) error
	// StartSync lets the system begin with what was written so far, so that a
	// later Sync has less to do. It is a hint: it does not wait for the disk,
	// and nothing is durable by it.
	StartSync()
	// Sync makes the file's content and metadata durable, not its name.
	Sync() error
	// TryLock takes the file's exclusive advisory lock for this descriptor and
	// reports whether it has it; it does not wait. Where the platform or the
	// file system has no such locks it does nothing and reports true.
	TryLock() (bool, error)
	// Unlock gives it back. So does Close.
	Unlock() error
	Close() error
	// Name is the name the file was opened or created under.
	Name() string
}

// Info describes one file at one instant. Two Infos with the same Device and
// Inode are the same file if one of them was taken from a File still open.
type Info struct {
	Device  uint64
	Inode   uint64
	Size    int64 // bytes
	ModTime int64 // nanoseconds since 1970
	Mode    fs.FileMode
	Links   uint64 // names the file has
	UID     int    // -1 where the platform has none
	GID     int    // -1 where the platform has none
}

// SameFile reports whether a and b describe the same file.
func (a Info) SameFile(b Info) bool { return a.Device == b.Device && a.Inode == b.Inode }
