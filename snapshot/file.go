package snapshot

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/machreg/machreg/internal/vfs"
)

// DefaultMaxSize is the largest registry file that is read or written unless
// [FileOptions.MaxSize] says otherwise: 256 MiB.
const DefaultMaxSize = 256 << 20

var (
	// ErrMissing is a registry file that was there and is gone.
	ErrMissing = errors.New("registry file is missing")
	// ErrChanged is a registry file that is no longer the version that a
	// write was prepared for.
	ErrChanged = errors.New("registry file changed")
	// ErrInDoubt is a write of which it cannot be told whether it happened.
	ErrInDoubt = errors.New("outcome unknown")
	// ErrHardLinks is a registry file with several names, which a rewrite
	// would tear apart.
	ErrHardLinks = errors.New("registry file has several hard links")
	// ErrProtected is a registry file whose permission bits let no user write
	// it.
	ErrProtected = errors.New("registry file is write-protected")
)

// FileOptions is how a [File] treats the disk; the zero value is the default.
type FileOptions struct {
	// MaxSize is the largest file to read or write, in bytes; 0 is
	// DefaultMaxSize.
	MaxSize int64
	// SplitHardLinks lets a write detach the path from its other names.
	SplitHardLinks bool
	// ReplaceProtected lets a write replace a file that no user may write.
	ReplaceProtected bool
	// TempDir is where a new version is written before it is renamed into
	// place, if that can be done there; otherwise, and by default, it is
	// written beside the file. Whoever watches the file's directory then sees
	// the rename and nothing else.
	TempDir string
	// FS is the file system; nil is the real one.
	FS vfs.FS
}

// File reads and replaces one registry file. It holds no lock: Load and
// Unchanged are safe at any time and from any goroutine; whoever calls
// Prepare, and what follows from it, must be the only writer.
type File[V any] struct {
	path  string // as it was given: links on the way are followed at every look
	place string // where it led when the File was made: what a write replaces
	dir   string // of place
	codec *Codec[V]
	opts  FileOptions
	fs    vfs.FS
	// elsewhere is set once a rename has shown that TempDir is on another
	// file system.
	elsewhere atomic.Bool
	// nameless is set while the file that the last look found has no name.
	nameless atomic.Bool

	// buffers are for the bytes of a file while it is decoded; nothing that
	// decoding returns refers to them. Fresh memory for each load costs as much
	// as the reading.
	buffers sync.Pool // of *[]byte
}

// NewFile names a file, which need not exist. path is absolute, and place is
// where it leads to: the same, or what [Resolve] returns for it. Reading follows
// path; writing replaces place, and fails once path leads elsewhere.
func NewFile[V any](path, place string, codec *Codec[V], opts FileOptions) *File[V] {
	f := &File[V]{path: path, place: place, dir: filepath.Dir(place), codec: codec, opts: opts, fs: opts.FS}
	if f.fs == nil {
		f.fs = vfs.OS
	}
	if f.opts.MaxSize <= 0 {
		f.opts.MaxSize = DefaultMaxSize
	}
	return f
}

// Path is the file's path, as it was given.
func (f *File[V]) Path() string { return f.path }

// Nameless reports whether the file that Load or Unchanged last found at the path
// had no name any more: it was replaced at that moment, or is mounted there by
// itself and was replaced outside of the mount.
func (f *File[V]) Nameless() bool { return f.nameless.Load() }

// Place is where the path led when the File was made.
func (f *File[V]) Place() string { return f.place }

// Load reads the file. Entries whose bytes are as in prev keep their decoded
// value and their identity; prev is nil for a first load.
//
// known says what the process knows of published revisions; it is called before
// the file is opened and after it is read, and may be nil. Content that is a
// published revision, or the one being published, has the revision that it claims;
// so has any that this library wrote, as long as nothing is known. Everything else
// is edited: its revision is the highest that was published or that prev had. So
// the revisions of a handle never go back, only commits make new ones, and one
// content has one revision for all processes that know the same.
//
// A missing file is an empty registry, or ErrMissing if prev was a file. A
// file that cannot be used is a *CorruptError. Load reads the whole file and
// waits for nothing else.
func (f *File[V]) Load(prev *Version[V], known func() Known) (*Version[V], error) {
	if known == nil {
		known = func() Known { return Known{} }
	}
	const attempts = 5 // against somebody who keeps writing into the file in place
	for n := range attempts {
		before := known()
		v, after, err := f.load(prev, before, known)
		if errors.Is(err, ErrChanged) {
			continue
		}
		// What was edited reports what was published before it was read. If more
		// was published meanwhile, the edit may be one of that.
		if err == nil && v.Snapshot.edited && after != before && n < attempts-1 {
			v.Close()
			continue
		}
		return v, err
	}
	return nil, fmt.Errorf("read registry file %q: %w while being read, %d times in a row: something writes into it in place", f.path, ErrChanged, attempts)
}

// load also returns what was known after the file was read.
func (f *File[V]) load(prev *Version[V], before Known, known func() Known) (_ *Version[V], after Known, err error) {
	file, err := f.open()
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if prev != nil && prev.exists {
			return nil, after, fmt.Errorf("registry file %q: %w: it was deleted or renamed; put it back, or reopen the registry to start an empty one", f.path, ErrMissing)
		}
		// Not what was published, if anything was.
		empty := decoded[V]{snap: f.codec.Empty(), ours: before.isNothing()}
		return adopt(&Version[V]{}, empty, prev, before, before), before, nil
	case err != nil:
		return nil, after, fmt.Errorf("open registry file: %w", err)
	}
	keep := false
	defer func() {
		if !keep {
			file.Close()
		}
	}()
	info, err := file.Stat()
	if err != nil {
		return nil, after, fmt.Errorf("registry file: %w", err)
	}
	f.nameless.Store(info.Links == 0)
	if info.Mode.IsDir() {
		return nil, after, fmt.Errorf("registry file %q: %w", f.path, syscall.EISDIR)
	}
	if !info.Mode.IsRegular() {
		return nil, after, fmt.Errorf("registry file %q: is not a regular file (%s)", f.path, info.Mode)
	}
	if info.Size > f.opts.MaxSize {
		return nil, after, f.tooLarge(info.Size)
	}
	buffer := f.buffer(info.Size)
	defer f.buffers.Put(buffer)
	data := (*buffer)[:info.Size]
	if _, err := file.ReadAt(data, 0); err != nil && err != io.EOF {
		return nil, after, fmt.Errorf("read registry file: %w", err)
	} else if now, serr := file.Stat(); serr != nil {
		return nil, after, fmt.Errorf("registry file: %w", serr)
	} else if err == io.EOF && info.Size > 0 || stampOf(now) != stampOf(info) {
		return nil, after, ErrChanged
	}

	after = known()
	var old *Snapshot[V]
	if prev != nil {
		old = prev.Snapshot
	}
	d, err := f.codec.decode(data, old)
	if err != nil {
		if c, ok := errors.AsType[*CorruptError](err); ok {
			c.Path = f.path
		}
		return nil, after, err
	}
	v := &Version[V]{Parsed: d.parsed, exists: true, info: info, head: string(data[:min(len(data), headSize)])}
	v = adopt(v, d, prev, before, after)
	if vfs.InodesRecycle {
		v.pin, keep = file, true
	}
	return v, after, nil
}

// open opens the file. Links are followed one after the other, by the kernel too:
// one that was read just before it was turned may lead to a directory that was
// removed right after. Only the next look finds that the file was there all the
// time.
func (f *File[V]) open() (file vfs.File, err error) {
	const attempts = 5
	for range attempts {
		file, err = f.fs.Open(f.path)
		if f.path == f.place || !errors.Is(err, fs.ErrNotExist) {
			break
		}
	}
	return file, err
}

// buffer returns one of at least size bytes.
func (f *File[V]) buffer(size int64) *[]byte {
	if b, ok := f.buffers.Get().(*[]byte); ok && int64(len(*b)) >= size {
		return b
	}
	b := make([]byte, size+size/8) // the next version may be larger
	return &b
}

// adopt decides which revision the content of v stands for; see [File.Load].
func adopt[V any](v *Version[V], d decoded[V], prev *Version[V], before, after Known) *Version[V] {
	var old *Snapshot[V]
	v.Published = before.Published // the newest that is known
	top := before.Published.Revision
	if prev != nil {
		old = prev.Snapshot
		top = max(top, old.revision)
		if prev.Published.Revision >= v.Published.Revision {
			v.Published = prev.Published
		}
	}
	claim := Published{d.snap.revision, d.sum}
	r, edited := claim.Revision, true
	switch {
	case !d.ours || r < top:
	case r == v.Published.Revision && claim != v.Published && r > 0:
		// Another content of that number. If it is what the page says, then the
		// path has come to lead elsewhere.
	case before.confirms(claim), after.confirms(claim), v.Published == claim:
		edited = false
	case r > before.Published.Revision && r < after.Published.Revision:
		edited = false // published, and replaced, while it was read
	case before.isNothing() && after.isNothing():
		edited = false
	}
	above := max(r, before.Reserved.Revision, after.Reserved.Revision)
	if edited && (top > 0 || !before.isNothing()) {
		r = top
	}
	if !edited {
		v.Published = Published{r, d.sum}
	}
	edition := uint32(0)
	if old != nil && old.revision == r {
		same := SameEntries(old, d.snap) && old.members == d.snap.members
		if same && v.exists == prev.exists && (edited || !old.edited) {
			v.Snapshot = old // reformatted, touched, or written again as it was
			return v.Above(above)
		}
		edition = old.edition + 1
	}
	v.Snapshot = d.snap.as(r, edited, edition, above)
	return v
}

// Unchanged reports whether the file is still version v. An edit in place that
// keeps the size, the head and the modification time is not noticed. It costs
// two system calls and two small allocations.
func (f *File[V]) Unchanged(v *Version[V]) (bool, error) {
	info, err := f.fs.Stat(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return !v.exists, nil
	}
	if err != nil {
		return false, fmt.Errorf("registry file: %w", err)
	}
	f.nameless.Store(info.Links == 0)
	if !v.exists || stampOf(info) != stampOf(v.info) {
		return false, nil
	}
	file := v.pin
	if file == nil {
		// No descriptor is kept where inodes are not recycled.
		if file, err = f.fs.Open(f.path); err != nil {
			return !errors.Is(err, fs.ErrNotExist), nil // it is open in a program that keeps others out
		}
		defer file.Close()
	}
	// After the comparison, so that a pin that can still be read was open
	// while the inodes were compared.
	var buf [headSize]byte
	n, err := file.ReadAt(buf[:len(v.head)], 0)
	return n == len(v.head) && (err == nil || err == io.EOF) && string(buf[:n]) == v.head, nil
}

func (f *File[V]) tooLarge(size int64) error {
	return fmt.Errorf("registry file %q: %d bytes is %w of %d bytes; raise MaxSize to allow it", f.path, size, ErrTooLarge, f.opts.MaxSize)
}

// Temporary files are called ".NAME.RANDOM.tmp": a shell's * does not see them.
func (f *File[V]) tempPrefix() string { return "." + filepath.Base(f.place) + "." }

const tempSuffix = ".tmp"

// tempDirs are the directories that temporary files may be in, the preferred
// one first.
func (f *File[V]) tempDirs() []string {
	if f.opts.TempDir == "" || f.opts.TempDir == f.dir {
		return []string{f.dir}
	}
	return []string{f.opts.TempDir, f.dir}
}

// Leftovers lists temporary files of the registry file. Unless a write is
// under way they were left by one that died.
func (f *File[V]) Leftovers() ([]string, error) {
	var found []string
	for _, dir := range f.tempDirs() {
		names, err := f.fs.ReadNames(dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("look for temporary files of %q: %w", f.path, err)
		}
		for _, name := range names {
			random, ok := strings.CutPrefix(name, f.tempPrefix())
			random, ok2 := strings.CutSuffix(random, tempSuffix)
			if ok && ok2 && isRandom(random) {
				found = append(found, filepath.Join(dir, name))
			}
		}
	}
	return found, nil
}

// Sweep removes what Leftovers lists. Only the holder of the write lock may
// call it.
func (f *File[V]) Sweep() (removed int, err error) {
	found, err := f.Leftovers()
	if err != nil {
		return 0, err
	}
	for _, path := range found {
		if rerr := f.fs.Remove(path); rerr == nil {
			removed++
		} else if !errors.Is(rerr, fs.ErrNotExist) && err == nil {
			err = fmt.Errorf("remove temporary file: %w", rerr)
		}
	}
	return removed, err
}
