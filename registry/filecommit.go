package registry

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/machreg/machreg/filelock"
	"github.com/machreg/machreg/snapshot"
)

// commitAttempts bounds how often a commit starts over because a writer that
// takes no lock got in between.
const commitAttempts = 20

// restartPause grows with the attempts; in all they take a fifth of a second.
const restartPause = time.Millisecond

// Commit implements [Store]. The steps, and what a crash right after each
// leaves:
//
//	lock                 nothing; the kernel frees the lock
//	refresh, apply       nothing
//	write, sync temp     a temporary file, swept by a later writer
//	fence                the same
//	page odd             the same; readers compare stamps until a writer's End
//	rename               the new revision, whole; readers as before
//	page even, unlock    the new revision
//	sync directory       the new revision, durably
//	publish, answer      the same; acknowledged or not
//
// The directory is synced after the lock is released: the next writer's own
// sync covers this rename as well, and nobody is told of this one before it is
// durable, so all that waiting under the lock would do is make others wait.
func (s *fileStore[V]) Commit(ctx context.Context, deadline time.Time, apply func(*snapshot.Snapshot[V]) *snapshot.Snapshot[V]) (_ *snapshot.Snapshot[V], err error) {
	defer func() {
		s.mu <- struct{}{}
		s.committing = false
		s.letGoLocked()
		s.release()
	}()
	for n := range commitAttempts {
		snap, err := s.commitOnce(ctx, deadline, apply)
		if err == nil {
			return snap, s.makeDurable(snap)
		}
		if !errors.Is(err, snapshot.ErrChanged) && !errors.Is(err, filelock.ErrReplaced) {
			return snap, err
		}
		s.counts.restarts.Add(1)
		// A second writer, let in by a lock file that was deleted, is in its
		// last steps; it holds what this one wants for a rename or two.
		time.Sleep(time.Duration(n) * restartPause)
	}
	return nil, fmt.Errorf("registry file %q: %w under the lock, %d times in a row: something writes it without taking the lock", s.file.Path(), snapshot.ErrChanged, commitAttempts)
}

func (s *fileStore[V]) commitOnce(ctx context.Context, deadline time.Time, apply func(*snapshot.Snapshot[V]) *snapshot.Snapshot[V]) (_ *snapshot.Snapshot[V], err error) {
	held, err := s.lock.LockTimeout(ctx, time.Until(deadline))
	if err != nil {
		return nil, err
	}
	s.counts.lockWaits.Add(int64(held.Waited()))
	defer func() {
		if uerr := held.Unlock(); uerr != nil && err == nil {
			// The commit stands; a lock that cannot be freed is freed when
			// the process ends.
			s.log.Error("cannot release the lock", "error", uerr)
		}
	}()
	if !s.swept.Swap(true) {
		s.sweep()
	}
	base, next, err := s.prepareNext(apply)
	if err != nil || next == base.Snapshot {
		return next, err
	}
	pending, err := s.file.Prepare(base, next)
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		s.awaitRetired() // which may give the room
		pending, err = s.file.Prepare(base, next)
	}
	if err != nil {
		s.swept.Store(false) // something may have been left
		return nil, err
	}
	if err := s.publish(held, base, pending, next.Revision()); err != nil {
		s.swept.Store(false) // as above
		return nil, err
	}
	s.counts.commits.Add(1)
	return next, nil
}

// makeDurable syncs the rename to snap, unless that is known to be done. A
// commit that changed nothing needs it too: it is acknowledged for what is
// there, and whoever put it there may have died, or failed, before the sync.
func (s *fileStore[V]) makeDurable(snap *snapshot.Snapshot[V]) error {
	if s.durable.Load() == snap || !s.loaded.Load().version.Exists() {
		return nil
	}
	if err := s.file.SyncDir(); err != nil {
		return fmt.Errorf("%w: sync directory of %q: %w", ErrNotDurable, s.file.Path(), err)
	}
	s.durable.Store(snap)
	return nil
}

// prepareNext refreshes under the file lock and applies the writes.
func (s *fileStore[V]) prepareNext(apply func(*snapshot.Snapshot[V]) *snapshot.Snapshot[V]) (*snapshot.Version[V], *snapshot.Snapshot[V], error) {
	s.mu <- struct{}{}
	s.committing = true
	snap, err := s.refreshLocked()
	version := s.loaded.Load().version
	s.release()
	if err != nil {
		return nil, nil, err
	}
	return version, apply(snap), nil
}

// publish renames the pending version into place between the page's bumps and
// makes it the loaded one. No refresh of this handle can come between: it would
// read the same revision into a second snapshot, and let go of base.
func (s *fileStore[V]) publish(held *filelock.Held, base *snapshot.Version[V], pending *snapshot.Pending[V], r Revision) error {
	s.mu <- struct{}{}
	defer s.release()
	err := held.Verify()
	if err == nil {
		err = pending.Fence(base)
	}
	if err != nil {
		return errors.Join(err, pending.Discard())
	}
	if err := s.page.Begin(s.opts.Page == PageAuto); err != nil {
		return errors.Join(fmt.Errorf("registry %q: %w: other processes could not be told of a new revision, so none was written", s.file.Path(), err), pending.Discard())
	}
	version, err := pending.Publish()
	if errors.Is(err, ErrInDoubt) {
		return err // the page stays odd: nobody takes either version for the newest unseen
	}
	if err != nil {
		s.page.End(uint64(s.loaded.Load().version.Snapshot.Revision()))
		return err
	}
	if s.hooks.renamed != nil {
		s.hooks.renamed()
	}
	l := &loaded[V]{version: version}
	l.mapping, l.sequence = s.page.End(uint64(r))
	if s.opts.Page == PageOff {
		l.mapping = nil
	}
	s.replace(l)
	pending.Release()
	return nil
}

// sweep removes what writers that died have left; the lock is held.
func (s *fileStore[V]) sweep() {
	n, err := s.file.Sweep()
	if err != nil {
		s.log.Warn("cannot remove temporary files", "error", err)
	}
	if n > 0 {
		s.log.Info("removed temporary files of writers that died", "count", n)
	}
}
