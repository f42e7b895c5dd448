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
)

// FileOptions is how a [File] treats the disk; the zero value is the default.
type FileOptions struct {
	// MaxSize is the largest file to read or write, in bytes; 0 is
	// DefaultMaxSize.
	MaxSize int64
	// NoSync leaves out every fsync: a commit survives the death of any
	// process, but not a loss of power.
	NoSync bool
	// SplitHardLinks lets a write detach the path from its other names.
	SplitHardLinks bool
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
	path  string
	dir   string
	codec *Codec[V]
	opts  FileOptions
	fs    vfs.FS
	// elsewhere is set once a rename has shown that TempDir is on another
	// file system.
	elsewhere atomic.Bool

	// buffers are for the bytes of a file while it is decoded; nothing that
	// decoding returns refers to them. Fresh memory for each load costs as much
	// as the reading.
	buffers sync.Pool // of *[]byte
}

// NewFile names a file, which need not exist. path should come from [Resolve].
func NewFile[V any](path string, codec *Codec[V], opts FileOptions) *File[V] {
	f := &File[V]{path: path, dir: filepath.Dir(path), codec: codec, opts: opts, fs: opts.FS}
	if f.fs == nil {
		f.fs = vfs.OS
	}
	if f.opts.MaxSize <= 0 {
		f.opts.MaxSize = DefaultMaxSize
	}
	return f
}

// Path is the file's path.
func (f *File[V]) Path() string { return f.path }

// Load reads the file. Entries whose bytes are as in prev keep their decoded
// value and their identity; prev is nil for a first load.
//
// The revision of what is found never goes back and never stands for two
// contents: what differs from prev gets a revision above prev's, and above
// floor, which is the highest revision known to have been published (0 if
// none is known). Content that this library did not write as it stands is
// always a revision of its own.
//
// A missing file is an empty registry, or ErrMissing if prev was a file. A
// file that cannot be used is a *CorruptError. Load reads the whole file and
// waits for nothing else.
func (f *File[V]) Load(prev *Version[V], floor Revision) (*Version[V], error) {
	const attempts = 5 // against somebody who keeps writing into the file in place
	for range attempts {
		v, err := f.load(prev, floor)
		if !errors.Is(err, ErrChanged) {
			return v, err
		}
	}
	return nil, fmt.Errorf("read registry file %q: %w while being read, %d times in a row: something writes into it in place", f.path, ErrChanged, attempts)
}

func (f *File[V]) load(prev *Version[V], floor Revision) (_ *Version[V], err error) {
	file, err := f.fs.Open(f.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if prev != nil && prev.exists {
			return nil, fmt.Errorf("registry file %q: %w: it was deleted or renamed; put it back, or reopen the registry to start an empty one", f.path, ErrMissing)
		}
		if prev != nil {
			floor = max(floor, prev.Snapshot.revision)
		}
		return &Version[V]{Snapshot: f.codec.Empty().at(floor)}, nil
	case err != nil:
		return nil, fmt.Errorf("open registry file: %w", err)
	}
	keep := false
	defer func() {
		if !keep {
			file.Close()
		}
	}()
	info, err := file.Stat()
	if err != nil {
		return nil, fmt.Errorf("registry file: %w", err)
	}
	if !info.Mode.IsRegular() {
		return nil, fmt.Errorf("registry file %q: is not a regular file (%s)", f.path, info.Mode)
	}
	if info.Size > f.opts.MaxSize {
		return nil, f.tooLarge(info.Size)
	}
	buffer := f.buffer(info.Size)
	defer f.buffers.Put(buffer)
	data := (*buffer)[:info.Size]
	if _, err := file.ReadAt(data, 0); err != nil && err != io.EOF {
		return nil, fmt.Errorf("read registry file: %w", err)
	} else if after, serr := file.Stat(); serr != nil {
		return nil, fmt.Errorf("registry file: %w", serr)
	} else if err == io.EOF && info.Size > 0 || stampOf(after) != stampOf(info) {
		return nil, ErrChanged
	}

	var before *Snapshot[V]
	if prev != nil {
		before = prev.Snapshot
	}
	d, err := f.codec.decode(data, before)
	if err != nil {
		if c, ok := errors.AsType[*CorruptError](err); ok {
			c.Path = f.path
		}
		return nil, err
	}
	v := &Version[V]{
		Snapshot: adopt(d, before, floor),
		Parsed:   d.parsed,
		Claimed:  d.snap.revision,
		exists:   true,
		info:     info,
		head:     string(data[:min(len(data), headSize)]),
	}
	if vfs.InodesRecycle {
		v.pin, keep = file, true
	}
	return v, nil
}

// buffer returns one of at least size bytes.
func (f *File[V]) buffer(size int64) *[]byte {
	if b, ok := f.buffers.Get().(*[]byte); ok && int64(len(*b)) >= size {
		return b
	}
	b := make([]byte, size+size/8) // the next version may be larger
	return &b
}

// adopt decides which revision a file's content stands for.
func adopt[V any](d decoded[V], prev *Snapshot[V], floor Revision) *Snapshot[V] {
	claimed := d.snap.revision
	if prev != nil {
		same := SameEntries(prev, d.snap) && prev.members == d.snap.members
		if same && claimed <= prev.revision {
			return prev // reformatted, touched, or written again as it was
		}
		if claimed <= prev.revision {
			d.ours = false // by somebody who did not know of prev
		}
		floor = max(floor, prev.revision)
	}
	// A revision that was counted up to is the writer's own, also if its
	// content is prev's again: several writes that cancelled out.
	if d.ours && claimed >= floor {
		return d.snap
	}
	return d.snap.at(max(claimed, floor) + 1)
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
	if !v.exists || stampOf(info) != stampOf(v.info) {
		return false, nil
	}
	if v.pin == nil {
		return true, nil
	}
	// After the comparison, so that a pin that can still be read was open
	// while the inodes were compared.
	var buf [headSize]byte
	n, err := v.pin.ReadAt(buf[:len(v.head)], 0)
	return n == len(v.head) && (err == nil || err == io.EOF) && string(buf[:n]) == v.head, nil
}

func (f *File[V]) tooLarge(size int64) error {
	return fmt.Errorf("registry file %q: %d bytes is over the limit of %d bytes; raise MaxSize to allow it", f.path, size, f.opts.MaxSize)
}

// Temporary files are called ".NAME.RANDOM.tmp": a shell's * does not see them.
func (f *File[V]) tempPrefix() string { return "." + filepath.Base(f.path) + "." }

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
