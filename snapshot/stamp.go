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
	// Published is the newest revision known to have been published; of a
	// Snapshot that is not edited, that very one.
	Published Published

	exists bool
	info   vfs.Info // of the opened descriptor, taken before reading
	// head is the file's first bytes, where the revision is.
	head string
	// pin keeps the version's inode from being recycled.
	pin vfs.File
}

// Published is a revision that a commit wrote, and the checksum of its content.
// The zero value is none.
type Published struct {
	Revision Revision
	Sum      uint32
}

// Known is what a process knows about the revisions of a file besides the file:
// the newest that was published, and the one that is being published, or was when
// its writer died.
type Known struct {
	Published, Reserved Published
	// Old is set if more may have been published since. Then, as without
	// anything known, a later revision is believed to be what it claims.
	Old bool
}

// isNothing reports whether what a file claims has to be believed.
func (k Known) isNothing() bool {
	return k.Old || k.Published.Revision == 0 && k.Reserved.Revision == 0
}

// confirms reports whether p is a revision that was written by a commit.
func (k Known) confirms(p Published) bool { return p == k.Published || p == k.Reserved }

// headSize is how much of the head is compared when a refresh is skipped; it
// holds the revision of every file this library wrote.
const headSize = 64

// Exists reports whether there is a file; if not, Snapshot is empty.
func (v *Version[V]) Exists() bool { return v.exists }

// Stamp identifies the version; it is zero if there is no file.
func (v *Version[V]) Stamp() Stamp { return stampOf(v.info) }

// Agrees reports whether what is known now leaves the version what it was when it
// was loaded: nothing was published since that it is not.
func (v *Version[V]) Agrees(k Known) bool {
	r := v.Snapshot.revision
	return k.Published.Revision < r || k.Published.Revision == r && (v.Snapshot.edited || k.Published == v.Published)
}

// Above returns v for a writer that must not hand out revisions up to r.
func (v *Version[V]) Above(r Revision) *Version[V] {
	if r <= max(v.Snapshot.revision, v.Snapshot.above) {
		return v
	}
	next, snap := *v, *v.Snapshot
	snap.above = r
	next.Snapshot = &snap
	return &next
}

// Close lets go of the version's descriptor. The snapshot stays usable; the
// version can no longer be told from its successors, see [File.Unchanged].
func (v *Version[V]) Close() error {
	if v.pin == nil {
		return nil
	}
	return v.pin.Close()
}
