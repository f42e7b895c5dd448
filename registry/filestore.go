package registry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/machreg/machreg/filelock"
	"github.com/machreg/machreg/internal/page"
	"github.com/machreg/machreg/snapshot"
)

// fileStore keeps a registry in one JSON file. It is the default [Store].
type fileStore[V any] struct {
	// Immutable after open.
	path  string // as it was given, made absolute
	codec *snapshot.Codec[V]
	opts  Options
	log   *slog.Logger

	// site is where the path leads to now, and what belongs to that place. It is
	// stored under mu.
	site atomic.Pointer[site[V]]

	// loaded is the newest version of the file that this handle has read or
	// written. It is stored under mu; Current loads it without.
	loaded atomic.Pointer[loaded[V]]

	// mu is a mutex whose wait a context can end. It makes loads and publishes
	// take turns, so that a revision of this handle has one snapshot.
	mu     chan struct{}
	closed chan struct{} // closed by Close, which then has mu for good

	// retired are versions that were replaced and are still open; guarded by
	// mu. Letting go of the last descriptor of a file frees its blocks, which
	// some file systems take as long for as for a write. So nobody waits for
	// that, and it does not compete with the syncs of a commit for the disk.
	retired    []*snapshot.Version[V]
	committing bool // guarded by mu: a commit will let go of them
	retiring   sync.WaitGroup

	// durable is the newest version that is known to be synced, name and bytes.
	durable atomic.Pointer[snapshot.Version[V]]

	swept   atomic.Bool // this handle has looked for left-over temporary files
	watcher *watcher
	counts  storeCounts
	trouble troubleLog
	stale   condition // the file is another one outside of a mount
	refused condition // a write would be refused, as far as that can be seen
	failed  condition // the last write was refused, for a reason that only a write shows
	locks   condition // not all processes may see the lock
	hooks   hooks
}

// loaded is one version of the file, and until when it is the newest.
type loaded[V any] struct {
	version *snapshot.Version[V]
	// mapping and sequence validate the version: as long as the mapping has
	// this sequence, nobody has published a newer one. mapping is nil if the
	// version was not validated.
	mapping  *page.Mapping
	sequence uint64
}

// hooks let the tests stop a writer where it hurts.
type hooks struct {
	renamed func() // between the rename and the page's second bump
}

// defaultLockDir is relative to the directory of the file.
const defaultLockDir = ".gastown/locks"

// LockPath returns where the lock of the registry file at path is, for those who
// want to ask package filelock about it: who holds it, for one. opts is what the
// registry is opened with. Nothing is opened; links are resolved, as they are by
// [Open].
func LockPath(path string, opts *Options) (string, error) {
	target, err := snapshot.Resolve(path)
	if err != nil {
		return "", invalidError{err}
	}
	dir, err := lockDirOf(target, opts)
	if err != nil {
		return "", invalidError{err}
	}
	return lockIn(dir, target), nil
}

// lockDirOf returns the absolute lock directory of the registry file at target.
func lockDirOf(target string, o *Options) (string, error) {
	if o != nil && o.LockDir != "" {
		return filepath.Abs(o.LockDir)
	}
	return filepath.Join(filepath.Dir(target), filepath.FromSlash(defaultLockDir)), nil
}

func lockIn(dir, target string) string { return filepath.Join(dir, filepath.Base(target)+".lock") }

func pageIn(dir, target string) string { return filepath.Join(dir, filepath.Base(target)+page.Suffix) }

func openFileStore[V any](path string, codec *snapshot.Codec[V], o Options) (*fileStore[V], error) {
	s, err := newFileStore(path, codec, o)
	if err != nil {
		return nil, invalidError{err}
	}
	route, err := o.FS.Resolve(s.path)
	if err != nil {
		return nil, invalidError{err}
	}
	s.site.Store(s.siteAt(route))
	if o.Refresh == RefreshWatch {
		// Before the first load, so that no change falls between the two.
		s.watcher = watch(route, s.log)
	}
	v, err := s.load(nil)
	if err != nil {
		s.watcher.Close()
		return nil, s.explain("open registry file", err)
	}
	s.loaded.Store(v)
	s.survey()
	if v.mapping == nil {
		s.repairPage()
	}
	return s, nil
}

// newFileStore names a store and touches nothing.
func newFileStore[V any](path string, codec *snapshot.Codec[V], o Options) (*fileStore[V], error) {
	path, err := snapshot.Absolute(path)
	if err != nil {
		return nil, err
	}
	if o.LockDir != "" {
		// The working directory may be another one later.
		if o.LockDir, err = filepath.Abs(o.LockDir); err != nil {
			return nil, err
		}
	}
	return &fileStore[V]{
		path:   path,
		codec:  codec,
		opts:   o,
		log:    o.Logger.With("registry", path),
		mu:     make(chan struct{}, 1),
		closed: make(chan struct{}),
	}, nil
}

func (s *fileStore[V]) acquire(ctx context.Context) error {
	select {
	case s.mu <- struct{}{}:
		return nil
	case <-s.closed:
		return ErrClosed
	case <-ctx.Done():
		return fmt.Errorf("refresh %q: %w", s.path, context.Cause(ctx))
	}
}

func (s *fileStore[V]) release() { <-s.mu }

// Current implements [Store]. It is the cost of Latest when nothing changed:
// one load of the pointer and one of the page.
func (s *fileStore[V]) Current() (*snapshot.Snapshot[V], bool) {
	l := s.loaded.Load()
	return l.version.Snapshot, l.mapping != nil && l.mapping.Sequence() == l.sequence
}

// Refresh implements [Store]: it compares the file's stamp, and reads the file
// if that differs. The page is not asked, since writers that do not use this
// library leave it as it is.
func (s *fileStore[V]) Refresh(ctx context.Context) (*snapshot.Snapshot[V], error) {
	if err := s.acquire(ctx); err != nil {
		return nil, err
	}
	defer s.release()
	defer s.letGoLocked()
	return s.refreshLocked()
}

// refreshLocked loads what is there and stores it; s.mu is held.
func (s *fileStore[V]) refreshLocked() (*snapshot.Snapshot[V], error) {
	l, err := s.load(s.loaded.Load())
	err = s.explain("read registry file", err)
	s.trouble.note(err, s.log)
	if err != nil {
		s.counts.failures.Add(1)
		// What is served from now on is no longer known to be the newest.
		s.replace(&loaded[V]{version: s.loaded.Load().version})
		return nil, err
	}
	s.replace(l)
	if s.site.Load().file.Nameless() != s.stale.is() {
		s.survey()
	}
	return l.version.Snapshot, nil
}

// replace makes l the loaded version; s.mu is held.
func (s *fileStore[V]) replace(l *loaded[V]) {
	old := s.loaded.Swap(l)
	if old.version != l.version {
		s.retired = append(s.retired, old.version)
	}
}

// letGoLocked closes in the background what replace has retired; s.mu is held.
func (s *fileStore[V]) letGoLocked() {
	if len(s.retired) == 0 || s.committing {
		return
	}
	versions := s.retired
	s.retired = nil
	s.retiring.Go(func() {
		for _, v := range versions {
			v.Close()
		}
	})
}

// awaitRetired waits until nothing that was retired is open any more.
func (s *fileStore[V]) awaitRetired() {
	s.mu <- struct{}{}
	defer s.release()
	s.committing = false
	s.letGoLocked()
	s.retiring.Wait() // under mu, so that nothing is added meanwhile
}

// load returns what is in the file now, skipping the reading if that is what
// prev holds. s.mu is held, or nobody else knows s yet.
func (s *fileStore[V]) load(prev *loaded[V]) (*loaded[V], error) {
	page := s.site.Load().page
	page.Check()
	mapping := page.Mapping()
	var before uint64 = 1
	if mapping != nil {
		before = mapping.Sequence()
	}
	v, err := s.loadVersion(prev)
	if err != nil {
		return nil, err
	}
	if s.site.Load().page == page && before%2 == 0 && mapping.Sequence() == before {
		return &loaded[V]{version: v, mapping: mapping, sequence: before}, nil
	}
	return &loaded[V]{version: v}, nil // a writer is publishing, or died at it
}

// loadVersion loads the file or finds that it is still prev. What was published
// is asked for first: then it is never ahead of a file that a commit wrote.
func (s *fileStore[V]) loadVersion(prev *loaded[V]) (*snapshot.Version[V], error) {
	site := s.site.Load()
	var old *snapshot.Version[V]
	if prev != nil {
		old = prev.version
		var known snapshot.Known
		if s.committing || site.page.Mapping() != nil { // else it costs a file access
			known = site.known()
		}
		same, err := site.file.Unchanged(old)
		if err != nil {
			return nil, err
		}
		if same && old.Agrees(known) {
			s.counts.skips.Add(1)
			return old, nil
		}
		// Another file: the path may lead elsewhere.
		if site, err = s.follow(); err != nil {
			return nil, err
		}
	}
	v, err := site.file.Load(old, site.known)
	if err != nil {
		return nil, err
	}
	s.counts.loads.Add(1)
	s.counts.parsed.Add(uint64(v.Parsed))
	return v, nil
}

// Changes implements [Store].
func (s *fileStore[V]) Changes() <-chan struct{} { return s.watcher.Changes() }

// Close implements [Store]. The lock file is removed if nobody holds it.
func (s *fileStore[V]) Close() error {
	s.mu <- struct{}{} // for good
	close(s.closed)
	s.watcher.Close()
	s.letGoLocked()
	s.retiring.Wait()
	s.loaded.Load().version.Close()
	site := s.site.Load()
	site.page.Check() // if it was deleted, this may be the last one to know it
	if s.opts.ReadOnly {
		return nil
	}
	if err := site.lock.Close(); err != nil && !errors.Is(err, filelock.ErrTimeout) {
		return fmt.Errorf("close registry: %w", err)
	}
	return nil
}
