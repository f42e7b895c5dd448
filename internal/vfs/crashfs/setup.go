package crashfs

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/machreg/machreg/internal/vfs"
)

// MkdirAll makes a directory and those above it, at once durable: a test's
// ground, not one of the operations it is about.
func (f *FS) MkdirAll(dir string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := f.root
	for rest := clean(dir); rest != ""; {
		var part string
		if part, rest = cut(rest); part == "" {
			continue
		}
		next := n.entries[part]
		if next == nil {
			next = f.newInodeLocked(attributes{mode: 0o755, uid: os.Getuid(), gid: os.Getgid(), modTime: f.timeLocked()})
			next.makeDir()
			f.changeLocked(change{n, part, next})
			f.syncDirLocked(n)
		}
		if !next.isDir() {
			return &fs.PathError{Op: "mkdir", Path: dir, Err: syscall.ENOTDIR}
		}
		n = next
	}
	return nil
}

// SyncDir makes the entries of a directory durable.
func (f *FS) SyncDir(name string) error { return vfs.SyncDir(f, name) }

// WriteFile writes a file as a careless program does: in place, emptying it
// first, if it exists, and without syncing anything.
func (f *FS) WriteFile(name string, data []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	dir, base, err := f.parentLocked(name)
	if err == nil && dir.entries[base] != nil && dir.entries[base].isDir() {
		err = syscall.EISDIR
	}
	if err != nil {
		return &fs.PathError{Op: "open", Path: name, Err: err}
	}
	now := f.timeLocked()
	n := dir.entries[base]
	if n == nil {
		n = f.newInodeLocked(attributes{mode: 0o644, uid: os.Getuid(), gid: os.Getgid(), modTime: now})
		f.changeLocked(change{dir, base, n})
	}
	n.cut = n.cut || len(n.data) > 0
	n.data, n.dropped = slices.Clone(data), nil
	n.now.modTime = now
	return nil
}

// ReadFile returns the content of a file.
func (f *FS) ReadFile(name string) ([]byte, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n, err := f.walkLocked(clean(name))
	if err == nil && n.isDir() {
		err = syscall.EISDIR
	}
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	return slices.Clone(n.data), nil
}

// SyncAll makes everything as it is now durable, whatever the options ignore.
func (f *FS) SyncAll() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.journal, f.dropped = nil, nil
	var sync func(*inode)
	sync = func(n *inode) {
		n.dropped = nil
		n.sync(f.opts.BlockSize)
		if n.isDir() {
			n.syncedEntries = maps.Clone(n.entries)
			for _, child := range n.entries {
				sync(child)
			}
		}
	}
	sync(f.root)
}

// String lists all files, sorted, one a line, with how much of each and how
// many directory operations are not durable: what a failing test prints.
func (f *FS) String() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var b strings.Builder
	var list func(path string, n *inode)
	list = func(path string, n *inode) {
		if !n.isDir() {
			fmt.Fprintf(&b, "%s: inode %d, %d bytes (%d synced), mode %v, time %d\n", path, n.number, len(n.data), len(n.syncedData), n.now.mode, n.now.modTime)
			return
		}
		for _, name := range slices.Sorted(maps.Keys(n.entries)) {
			list(filepath.Join(path, name), n.entries[name])
		}
	}
	list(string(filepath.Separator), f.root)
	fmt.Fprintf(&b, "%d directory operations not synced\n", len(f.journal))
	return b.String()
}
