package crashfs

import (
	"bytes"
	"io/fs"
	"slices"

	"github.com/machreg/machreg/internal/vfs"
)

// attributes are what a Sync makes durable besides the content.
type attributes struct {
	mode     fs.FileMode
	uid, gid int
	modTime  int64
}

// inode is a file or a directory. Guarded by FS.mu.
type inode struct {
	number uint64
	now    attributes
	synced attributes

	// Of a file: its content, and what of it is durable.
	data       []byte
	syncedData []byte
	cut        bool         // emptied since the last sync, and perhaps written again
	dropped    map[int]bool // blocks that a failed sync gave up; the next one leaves them as they are

	// Of a directory: its entries, and those that are durable. What lies
	// between them is in FS.journal.
	entries       map[string]*inode
	syncedEntries map[string]*inode

	// names counts the entries that lead here, opens the open descriptors.
	// When both are 0 the number is free, though what was synced may come back
	// in a crash.
	names, opens int

	failures int // of a directory: syncs that failed
}

func (n *inode) isDir() bool { return n.entries != nil }

func (n *inode) info() vfs.Info {
	info := vfs.Info{
		Device:  device,
		Inode:   n.number,
		Size:    int64(len(n.data)),
		ModTime: n.now.modTime,
		Mode:    n.now.mode,
		Links:   uint64(n.names),
		UID:     n.now.uid,
		GID:     n.now.gid,
	}
	if n.isDir() {
		info.Mode |= fs.ModeDir
		info.Links = 2
	}
	return info
}

// sync makes a file's content and attributes durable, but for what a failed
// sync gave up.
func (n *inode) sync(blockSize int) {
	was := n.syncedData
	n.synced, n.syncedData, n.cut = n.now, slices.Clone(n.data), false
	for block := range n.dropped {
		low, high := block*blockSize, min((block+1)*blockSize, len(n.data))
		if low < high {
			clear(n.syncedData[low:high])
			copy(n.syncedData[low:high], was[min(low, len(was)):])
		}
	}
}

// drop gives up what is not durable: it can be read as before, and no sync will
// write it.
func (n *inode) drop(blockSize int) {
	if n.dropped == nil {
		n.dropped = make(map[int]bool)
	}
	for block := range (len(n.data) + blockSize - 1) / blockSize {
		low, high := block*blockSize, min((block+1)*blockSize, len(n.data))
		if n.cut || high > len(n.syncedData) || !bytes.Equal(n.data[low:high], n.syncedData[low:high]) {
			n.dropped[block] = true
		}
	}
}

// written notes that bytes from low on were written, so that the next sync
// covers them.
func (n *inode) written(low, high, blockSize int) {
	for block := low / blockSize; len(n.dropped) > 0 && block*blockSize < high; block++ {
		delete(n.dropped, block)
	}
}

// numbers gives out inode numbers, the lowest free one first, as ext4 does.
type numbers struct {
	used map[uint64]bool
	low  uint64 // no smaller number is free
}

func (s *numbers) take() uint64 {
	for s.used[s.low] {
		s.low++
	}
	s.used[s.low] = true
	return s.low
}

func (s *numbers) free(n uint64) {
	// Where a number is never given again, the library relies on that.
	if !vfs.InodesRecycle {
		return
	}
	delete(s.used, n)
	s.low = min(s.low, n)
}
