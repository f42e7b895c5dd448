package crashfs

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/machreg/machreg/internal/vfs"
)

// device is the number of the one device that holds everything.
const device = 1

// Order is what a crash does to directory operations that were not synced.
type Order uint8

const (
	// Journal keeps a prefix of them.
	Journal Order = iota
	// AnyOrder keeps any subset of them.
	AnyOrder
)

// Options is how a file system behaves; the zero value is the default.
type Options struct {
	Order Order
	// BlockSize is the unit in which content is written to disk, in bytes;
	// 0 means 512.
	BlockSize int
	// Granularity is that of the clock that stamps files; 0 means 4 ms, a
	// usual kernel's.
	Granularity time.Duration
	// Now is the clock, in nanoseconds since 1970; it must not use the file
	// system. Nil is a clock that moves 100 µs whenever it is read, the same in
	// every run.
	Now func() int64
	// IgnoreSync and IgnoreSyncDir make the call do nothing and succeed: the
	// program as it would be without it, to show that a test notices.
	IgnoreSync, IgnoreSyncDir bool
}

// FS is a file system with one root directory, "/", which is also where
// relative paths begin.
type FS struct {
	opts Options

	mu      sync.Mutex // guards all below, and every inode
	root    *inode
	numbers numbers
	journal []entry // directory operations that are not durable, oldest first
	ticks   int64

	// dropped are directory operations that a failed SyncDir gave up: a crash
	// may keep them, and no later sync makes them durable.
	dropped   []entry
	syncError func(name string) error
}

var _ vfs.FS = (*FS)(nil)

// New returns an empty file system; nil is the default Options.
func New(opts *Options) *FS {
	f := &FS{}
	if opts != nil {
		f.opts = *opts
	}
	if f.opts.BlockSize <= 0 {
		f.opts.BlockSize = 512
	}
	if f.opts.Granularity <= 0 {
		f.opts.Granularity = 4 * time.Millisecond
	}
	f.numbers = numbers{used: make(map[uint64]bool), low: 2}
	f.root = f.newInodeLocked(attributes{mode: 0o755, uid: os.Getuid(), gid: os.Getgid(), modTime: f.timeLocked()})
	f.root.makeDir()
	f.root.names = 1
	return f
}

func (n *inode) makeDir() {
	n.entries = make(map[string]*inode)
	n.syncedEntries = make(map[string]*inode)
}

// newInodeLocked returns a file that a crash would leave empty.
func (f *FS) newInodeLocked(a attributes) *inode {
	return &inode{number: f.numbers.take(), now: a, synced: a}
}

// releaseLocked frees the number of an inode that nothing leads to any more.
func (f *FS) releaseLocked(n *inode) {
	if n.names == 0 && n.opens == 0 {
		f.numbers.free(n.number)
	}
}

func (f *FS) timeLocked() int64 {
	const epoch, tick = 1_700_000_000_000_000_000, 100_000
	f.ticks++
	now := epoch + f.ticks*tick
	if f.opts.Now != nil {
		now = f.opts.Now()
	}
	return now - now%int64(f.opts.Granularity)
}

// walkLocked follows a clean name from the root.
func (f *FS) walkLocked(name string) (*inode, error) {
	if name == "" {
		return nil, syscall.ENOENT
	}
	n := f.root
	for rest := name; rest != ""; {
		var part string
		part, rest = cut(rest)
		if part == "" {
			continue
		}
		if !n.isDir() {
			return nil, syscall.ENOTDIR
		}
		next, ok := n.entries[part]
		if !ok {
			return nil, syscall.ENOENT
		}
		n = next
	}
	return n, nil
}

func cut(path string) (part, rest string) {
	for i := range len(path) {
		if os.IsPathSeparator(path[i]) {
			return path[:i], path[i+1:]
		}
	}
	return path, ""
}

// parentLocked returns the directory that holds name, and name's last element.
func (f *FS) parentLocked(name string) (*inode, string, error) {
	name = clean(name)
	base := filepath.Base(name)
	if name == "" {
		return nil, "", syscall.ENOENT
	}
	dir, err := f.walkLocked(filepath.Dir(name))
	switch {
	case err != nil:
		return nil, "", err
	case !dir.isDir():
		return nil, "", syscall.ENOTDIR
	case os.IsPathSeparator(base[0]):
		return nil, "", syscall.EBUSY // the root
	}
	return dir, base, nil
}

func (f *FS) Open(name string) (vfs.File, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n, err := f.walkLocked(clean(name))
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	n.opens++
	return &file{fs: f, name: name, inode: n}, nil
}

func (f *FS) Create(name string, perm fs.FileMode) (vfs.File, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	dir, base, err := f.parentLocked(name)
	if err == nil && dir.entries[base] != nil {
		err = syscall.EEXIST
	}
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	n := f.newInodeLocked(attributes{mode: perm.Perm(), uid: os.Getuid(), gid: os.Getgid(), modTime: f.timeLocked()})
	n.opens++
	f.changeLocked(change{dir, base, n})
	return &file{fs: f, name: name, inode: n, writable: true}, nil
}

func (f *FS) Stat(name string) (vfs.Info, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n, err := f.walkLocked(clean(name))
	if err != nil {
		return vfs.Info{}, &fs.PathError{Op: "stat", Path: name, Err: err}
	}
	return n.info(), nil
}

// Lstat is Stat: there are no links here.
func (f *FS) Lstat(name string) (vfs.Info, error) { return f.Stat(name) }

// Resolve cleans the path, and refuses one that leads through a file.
func (f *FS) Resolve(path string) (vfs.Route, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	target := clean(path)
	if _, err := f.walkLocked(target); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return vfs.Route{}, &fs.PathError{Op: "resolve", Path: path, Err: err}
	}
	return vfs.Route{Target: target}, nil
}

func (f *FS) Mkdir(name string, perm fs.FileMode) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	dir, base, err := f.parentLocked(name)
	if err == syscall.EBUSY || err == nil && dir.entries[base] != nil {
		err = syscall.EEXIST
	}
	if err != nil {
		return &fs.PathError{Op: "mkdir", Path: name, Err: err}
	}
	n := f.newInodeLocked(attributes{mode: perm.Perm(), uid: os.Getuid(), gid: os.Getgid(), modTime: f.timeLocked()})
	n.makeDir()
	f.changeLocked(change{dir, base, n})
	return nil
}

// clean makes name absolute and resolves its dots, which can be done by name
// where there are no links. A clean name is returned as it is.
func clean(name string) string {
	if name == "" {
		return ""
	}
	name = name[len(filepath.VolumeName(name)):]
	if name == "" || !os.IsPathSeparator(name[0]) {
		name = string(filepath.Separator) + name
	}
	return filepath.Clean(name)
}

func (f *FS) Rename(oldname, newname string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.renameLocked(oldname, newname); err != nil {
		return &os.LinkError{Op: "rename", Old: oldname, New: newname, Err: err}
	}
	return nil
}

func (f *FS) renameLocked(oldname, newname string) error {
	from, oldbase, err := f.parentLocked(oldname)
	if err != nil {
		return err
	}
	to, newbase, err := f.parentLocked(newname)
	if err != nil {
		return err
	}
	n, target := from.entries[oldbase], to.entries[newbase]
	switch {
	case n == nil:
		return syscall.ENOENT
	case n == target:
		return nil
	case target != nil && target.isDir():
		return syscall.EISDIR
	case n.isDir():
		return syscall.EINVAL
	}
	f.changeLocked(change{to, newbase, n}, change{from, oldbase, nil})
	return nil
}

func (f *FS) Remove(name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	dir, base, err := f.parentLocked(name)
	if err == nil {
		switch n := dir.entries[base]; {
		case n == nil:
			err = syscall.ENOENT
		case len(n.entries) > 0:
			err = syscall.ENOTEMPTY
		}
	}
	if err != nil {
		return &fs.PathError{Op: "remove", Path: name, Err: err}
	}
	f.changeLocked(change{dir, base, nil})
	return nil
}

func (f *FS) ReadNames(dir string) ([]string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n, err := f.dirLocked(dir)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: dir, Err: err}
	}
	names := make([]string, 0, len(n.entries))
	for name := range n.entries {
		names = append(names, name)
	}
	return names, nil
}

func (f *FS) OpenDir(name string) (vfs.Dir, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n, err := f.dirLocked(name)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	n.opens++
	return &dir{fs: f, name: name, inode: n, told: n.failures}, nil
}

// dir is an open directory. told counts the failed syncs of it that this
// descriptor was told of, or that were before it was opened.
type dir struct {
	fs     *FS
	name   string
	inode  *inode
	told   int
	closed bool
}

func (d *dir) Sync() error {
	f, n := d.fs, d.inode
	f.mu.Lock()
	defer f.mu.Unlock()
	err := f.syncErrorLocked(d.name)
	switch {
	case d.closed:
		err = fs.ErrClosed
	case err != nil:
		f.dropped = append(f.dropped, f.takeLocked(n)...)
		n.failures++
	case d.told < n.failures:
		err = syscall.EIO
	}
	d.told = n.failures
	if err != nil {
		return &fs.PathError{Op: "sync", Path: d.name, Err: err}
	}
	if !f.opts.IgnoreSyncDir {
		f.syncDirLocked(n)
	}
	return nil
}

func (d *dir) Close() error {
	d.fs.mu.Lock()
	defer d.fs.mu.Unlock()
	if d.closed {
		return &fs.PathError{Op: "close", Path: d.name, Err: fs.ErrClosed}
	}
	d.closed = true
	d.inode.opens--
	d.fs.releaseLocked(d.inode)
	return nil
}

// FailSync lets fail decide over every Sync and SyncDir from now on: it is
// given the name that the file was opened by, or the directory's, and what it
// returns is reported. A sync that fails does to what it should have made
// durable what Linux does: the error is reported once, and what was not
// durable is given up. It stays visible, a crash may keep it or not, and a
// later sync succeeds and does not cover it; only what is written or renamed
// anew is covered again. fail must not use the file system; nil ends it.
func (f *FS) FailSync(fail func(name string) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.syncError = fail
}

func (f *FS) syncErrorLocked(name string) error {
	if f.syncError == nil {
		return nil
	}
	return f.syncError(name)
}

func (f *FS) dirLocked(name string) (*inode, error) {
	n, err := f.walkLocked(clean(name))
	if err == nil && !n.isDir() {
		err = syscall.ENOTDIR
	}
	return n, err
}
