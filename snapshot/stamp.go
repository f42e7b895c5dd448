package snapshot

import "github.com/machreg/machreg/internal/vfs"

// Stamp identifies one version of a file on disk. While a descriptor of that
// version is open its inode cannot be given to another file, so an equal
// device and inode at the path prove that nobody renamed a new version over
// it; size and time then only serve to notice an edit in place.
type Stamp struct {
	Device  uint64
	Inode   uint64
	Size    int64 // bytes
	ModTime int64 // nanoseconds since 1970
}

func stampOf(i vfs.Info) Stamp { return Stamp{i.Device, i.Inode, i.Size, i.ModTime} }

// Version is one version of the file on disk and what it means. It is
// immutable; Close may be called at any time and from any goroutine.
type Version[V any] struct {
	Snapshot *Snapshot[V]
	// Parsed counts the entries that had to be decoded, because their bytes
	// were not in the version loaded before.
	Parsed int
	// Claimed is the revision that the file itself names, 0 if none; see
	// [File.Load] for when Snapshot has another.
	Claimed Revision

	exists bool
	info   vfs.Info // of the opened descriptor, taken before reading
	// head is the file's first bytes, where the revision is.
	head string
	// pin keeps the version's inode from being recycled.
	pin vfs.File
}

// headSize is how much of the head is compared when a refresh is skipped; it
// holds the revision of every file this library wrote.
const headSize = 64

// Exists reports whether there is a file; if not, Snapshot is empty.
func (v *Version[V]) Exists() bool { return v.exists }

// Stamp identifies the version; it is zero if there is no file.
func (v *Version[V]) Stamp() Stamp { return stampOf(v.info) }

// Close lets go of the version's descriptor. The snapshot stays usable; the
// version can no longer be told from its successors, see [File.Unchanged].
func (v *Version[V]) Close() error {
	if v.pin == nil {
		return nil
	}
	return v.pin.Close()
}
