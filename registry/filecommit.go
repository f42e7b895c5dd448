package registry

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"syscall"
	"time"

	"github.com/machreg/machreg/filelock"
	"github.com/machreg/machreg/internal/page"
	"github.com/machreg/machreg/internal/vfs"
	"github.com/machreg/machreg/snapshot"
)

// commitAttempts bounds how often a commit starts over because a writer that
// takes no lock got in between.
const commitAttempts = 20

// restartPause grows with the attempts; in all they take a fifth of a second.
const restartPause = time.Millisecond

// errMoved is a path that leads elsewhere than where the lock was taken.
var errMoved = errors.New("the registry's path leads elsewhere now")

// Commit implements [Store]. The steps, and what a crash right after each
// leaves:
//
//	make directories     for a first write: directories, maybe not durable
//	lock                 nothing; the kernel frees the lock
//	refresh, apply       nothing
//	write, sync temp     a temporary file, swept by a later writer
//	lock the version     the same; the kernel frees that lock too
//	fence                the same
//	page odd             the same; readers compare stamps until a writer's End
//	rename               the new revision, whole; readers as before
//	page even, unlock    the new revision
//	sync directory       the new revision, durably; opened before the rename
//	publish, answer      the same; acknowledged or not
//
// The directory is synced after the lock is released: the next writer's own
// sync covers this rename as well, and no writer is told of this one before it is
// durable, so waiting under the lock would only make others wait.
func (s *fileStore[V]) Commit(ctx context.Context, deadline time.Time, apply func(*snapshot.Snapshot[V]) *snapshot.Snapshot[V]) (_ *snapshot.Snapshot[V], err error) {
	defer func() {
		s.mu <- struct{}{}
		s.committing = false
		s.letGoLocked()
		s.release()
		err = s.noteRefusal(err)
	}()
	for n := 0; n < commitAttempts; {
		c := commit[V]{store: s, site: s.site.Load(), deadline: deadline}
		snap, err := c.run(ctx, apply)
		if err == nil {
			err = c.makeDurable()
		}
		c.close()
		if err == nil || errors.Is(err, ErrNotDurable) {
			return snap, err
		}
		again := errors.Is(err, snapshot.ErrChanged) || errors.Is(err, filelock.ErrReplaced) || errors.Is(err, errMoved)
		gone := errors.Is(err, fs.ErrNotExist) && !errors.Is(err, ErrInDoubt)
		if !again && !gone {
			return snap, err
		}
		// Whoever turns the path may do so more often than a commit can be made,
		// and remove what is left behind under it.
		moved := s.relocate() == nil && s.site.Load() != c.site
		if moved && ctx.Err() == nil && time.Now().Before(deadline) {
			s.counts.restarts.Add(1)
			continue
		}
		if !again {
			return snap, err
		}
		n++
		s.counts.restarts.Add(1)
		// A second writer, let in by a lock file that was deleted, is in its
		// last steps; it holds what this one wants for a rename or two.
		time.Sleep(time.Duration(n) * restartPause)
	}
	return nil, fmt.Errorf("registry file %q: %w under the lock, %d times in a row: something writes it without taking the lock", s.path, snapshot.ErrChanged, commitAttempts)
}

// commit is one attempt at a commit.
type commit[V any] struct {
	store    *fileStore[V]
	site     *site[V]
	deadline time.Time
	// version is what the file is afterwards: what was there, or what was put
	// there.
	version *snapshot.Version[V]
	// dir is the directory of the file, opened before anything is renamed there:
	// its Sync is then told of every failure since.
	dir vfs.Dir
	// durable is the version that the page says is on disk, name and bytes.
	durable uint64
}

func (c *commit[V]) run(ctx context.Context, apply func(*snapshot.Snapshot[V]) *snapshot.Snapshot[V]) (*snapshot.Snapshot[V], error) {
	s := c.store
	if !c.site.entered.Load() {
		// Taking the lock makes files and directories, so that a write which is
		// bound to fail does not get that far.
		snap, err := s.Refresh(ctx)
		if err != nil {
			return nil, err
		}
		untouched, err := s.isUntouched(c.site)
		if err != nil {
			return nil, err
		}
		if untouched {
			next := apply(snap)
			// Writes may have been queued since the look: it takes another one,
			// at a moment when all of them were.
			same, err := c.site.file.Unchanged(s.loaded.Load().version)
			if err != nil {
				return nil, err
			}
			if same && (next == nil || next == snap) {
				return snap, nil
			}
		}
	}
	if !s.loaded.Load().version.Exists() {
		err := s.makeParents(c.site.target)
		if err == nil {
			err = s.relocate() // the directory may be a new one
			c.site = s.site.Load()
		}
		if err != nil {
			return nil, err
		}
	}
	held, err := c.site.takeLock(func() (*filelock.Held, error) {
		return c.site.lock.LockTimeout(ctx, time.Until(c.deadline))
	})
	if errors.Is(err, fs.ErrNotExist) {
		if err := s.relocate(); err != nil {
			return nil, err
		}
		if s.site.Load() != c.site {
			return nil, errMoved
		}
		return nil, fmt.Errorf("registry file %q: %w: its directory is gone", s.path, ErrMissing)
	}
	if err != nil {
		return nil, err
	}
	c.site.entered.Store(true)
	s.counts.lockWaits.Add(int64(held.Waited()))
	defer func() {
		if uerr := held.Unlock(); uerr != nil && err == nil {
			// The commit stands; a lock that cannot be freed is freed when
			// the process ends.
			s.log.Error("cannot release the lock", "error", uerr)
		}
	}()
	base, err := c.refresh()
	if err != nil {
		return nil, err
	}
	if !s.swept.Swap(true) {
		s.sweep(c.site, held)
	}
	next := apply(base.Snapshot)
	if next == nil || next == base.Snapshot && c.canVouch(base) {
		return base.Snapshot, nil
	}
	if err := c.replace(ctx, held, base, next); err != nil {
		s.swept.Store(false) // something may have been left
		return nil, err
	}
	return next, nil
}

// refresh loads the newest version, under the lock of the place that the path
// leads to.
func (c *commit[V]) refresh() (*snapshot.Version[V], error) {
	s := c.store
	s.mu <- struct{}{}
	defer s.release()
	s.committing = true
	if at, err := s.follow(); err != nil {
		return nil, err
	} else if at != c.site {
		return nil, errMoved
	}
	_, err := s.refreshLocked()
	if err != nil {
		return nil, err
	}
	if s.site.Load() != c.site {
		return nil, errMoved
	}
	record, err := c.site.page.Record()
	if err != nil {
		return nil, err
	}
	c.durable = record.Durable
	// A writer that died may have put its file there, where it was seen and
	// replaced: its number is used up.
	l := s.loaded.Load()
	if v := l.version.Above(Revision(record.Reserved.Number)); v != l.version {
		s.loaded.Store(&loaded[V]{v, l.mapping, l.sequence})
	}
	return s.loaded.Load().version, nil
}

// canVouch reports whether a write that found nothing to change can be
// acknowledged for version v: because it is on disk, name and bytes. Otherwise it
// is written anew: a sync would prove nothing, if one has failed before that was
// to cover it. The kernel may have dropped what that did not write.
func (c *commit[V]) canVouch(v *snapshot.Version[V]) bool {
	return c.store.opts.Sync == SyncNone || !v.Exists() || c.store.durable.Load() == v || c.durable == durableWord(v)
}

// durableWord names a version in the page. It is never 0.
func durableWord[V any](v *snapshot.Version[V]) uint64 {
	h := fnv.New64a()
	binary.Write(h, binary.NativeEndian, v.Stamp())
	return h.Sum64() | 1
}

// replace puts next in the place of base.
func (c *commit[V]) replace(ctx context.Context, held *filelock.Held, base *snapshot.Version[V], next *snapshot.Snapshot[V]) error {
	s, file := c.store, c.site.file
	if s.opts.Sync == SyncFull {
		var err error
		if c.dir, err = file.OpenDir(); err != nil {
			return fmt.Errorf("write registry file %q: %w", s.path, err)
		}
	}
	pending, err := file.Prepare(base, next)
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		s.awaitRetired() // which may give the room
		pending, err = file.Prepare(base, next)
	}
	if err != nil {
		return err
	}
	if err := c.lockVersion(ctx, pending, base); err != nil {
		return errors.Join(err, pending.Discard())
	}
	return c.publishOrWait(ctx, held, base, pending)
}

// versionPause is how long a commit waits before it tries again to lock the
// version that it replaces; it grows to versionPauseMost.
const (
	versionPause     = time.Millisecond
	versionPauseMost = 50 * time.Millisecond
)

// lockVersion waits for other programs that have locked the registry file
// itself: flock(1) around a copy, say.
func (c *commit[V]) lockVersion(ctx context.Context, pending *snapshot.Pending[V], base *snapshot.Version[V]) error {
	for pause := versionPause; ; pause = min(2*pause, versionPauseMost) {
		ok, err := pending.LockVersion(base)
		if ok || err != nil {
			return err
		}
		if c.mayWait(ctx, pause) {
			continue
		}
		who := "another program"
		if holder, ok := filelock.FlockHolder(c.site.target); ok {
			who = holder.String()
		}
		return fmt.Errorf("%w: registry file %q itself is locked by %s", ErrLockTimeout, c.store.path, who)
	}
}

// mayWait waits, and reports whether there is time left.
func (c *commit[V]) mayWait(ctx context.Context, pause time.Duration) bool {
	wait := time.NewTimer(min(pause, time.Until(c.deadline)))
	select {
	case <-wait.C:
	case <-ctx.Done():
		wait.Stop()
	}
	return ctx.Err() == nil && time.Now().Before(c.deadline)
}

// publishOrWait waits for programs that have the file open and forbid to replace
// it: virus scanners and editors on Windows, and where that has no POSIX renames,
// all that read the file.
func (c *commit[V]) publishOrWait(ctx context.Context, held *filelock.Held, base *snapshot.Version[V], pending *snapshot.Pending[V]) error {
	for pause := versionPause; ; pause = min(2*pause, versionPauseMost) {
		err := c.publish(held, base, pending)
		if !errors.Is(err, vfs.ErrInUse) {
			return err
		}
		if c.mayWait(ctx, pause) {
			continue
		}
		return errors.Join(fmt.Errorf("%w: %w", ErrLockTimeout, err), pending.Discard())
	}
}

// publish renames the pending version into place between the page's bumps and
// makes it the loaded one. No refresh of this handle can come between: it would
// read the same revision into a second snapshot, and let go of base.
func (c *commit[V]) publish(held *filelock.Held, base *snapshot.Version[V], pending *snapshot.Pending[V]) error {
	s, at := c.store, c.site
	s.mu <- struct{}{}
	defer s.release()
	err := held.Verify()
	if err == nil {
		err = pending.Fence(base)
	}
	if err != nil {
		return errors.Join(err, pending.Discard())
	}
	if err := at.page.Begin(reserved(pending.Revision())); err != nil {
		return errors.Join(fmt.Errorf("registry %q: %w: other processes could not be told of a new revision, so none was written", s.path, err), pending.Discard())
	}
	version, err := pending.Publish()
	if errors.Is(err, ErrInDoubt) {
		return err // the page stays odd: no reader takes either version for the newest unseen
	}
	if err != nil {
		at.page.End(page.NotPublished)
		return err
	}
	if s.hooks.renamed != nil {
		s.hooks.renamed()
	}
	l := &loaded[V]{version: version}
	l.mapping, l.sequence = at.page.End(page.Published)
	c.version = version
	s.replace(l)
	s.refused.swap(nil)
	s.failed.swap(nil)
	pending.Release()
	return nil
}

// makeDurable syncs the name of the version that was put in place, and notes that
// it is on disk: by that every process can acknowledge what changes nothing.
func (c *commit[V]) makeDurable() error {
	if c.dir == nil {
		return nil // nothing was written, or nothing is to be waited for
	}
	s := c.store
	if err := c.dir.Sync(); err != nil {
		return fmt.Errorf("%w: sync directory of %q: %w", ErrNotDurable, s.path, err)
	}
	s.durable.Store(c.version)
	c.site.page.SetDurable(durableWord(c.version))
	return nil
}

func (c *commit[V]) close() {
	if c.dir != nil {
		c.dir.Close()
		c.dir = nil
	}
}

// sweep removes what writers that died have left; the lock is held.
func (s *fileStore[V]) sweep(at *site[V], held *filelock.Held) {
	at.page.Sweep()
	n, err := at.file.Sweep()
	if err = errors.Join(err, held.Sweep()); err != nil {
		s.log.Warn("cannot remove temporary files", "error", err)
	}
	if n > 0 {
		s.log.Info("removed temporary files of writers that died", "count", n)
	}
}
