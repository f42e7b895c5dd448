package registry

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/machreg/machreg/snapshot"
)

// submit waits until a write is committed or refused. Until its commit begins
// it can be given up: by ctx, or by the lock timeout. From then on its outcome
// is about to be known, and is waited for; if ctx ends, for at most the lock
// timeout again.
func (r *Registry[V]) submit(ctx context.Context, apply func(*snapshot.Editor[V]) error) (Revision, error) {
	if err := ctx.Err(); err != nil {
		return 0, context.Cause(ctx)
	}
	if err := r.writable(); err != nil {
		return 0, err
	}
	w := &request[V]{
		apply:    apply,
		deadline: time.Now().Add(max(r.opts.LockTimeout, 0)),
		done:     make(chan answer, 1),
	}
	lead, err := r.queue.add(w)
	if err != nil {
		return 0, err
	}
	if lead {
		go r.lead()
	}
	// The leader ends waits for the lock. This one is for a leader that is
	// itself held up, by a function that hangs under the lock, say.
	overdue := time.NewTimer(time.Until(w.deadline.Add(leaderGrace)))
	defer overdue.Stop()
	for {
		select {
		case a := <-w.done:
			return a.deliver()
		case <-ctx.Done():
			return r.giveUp(w, context.Cause(ctx))
		case <-overdue.C:
			if r.queue.withdraw(w) {
				return 0, fmt.Errorf("%w: a write of this process that is ahead does not end; nothing was changed", ErrLockTimeout)
			}
		}
	}
}

// leaderGrace is how much longer than the lock timeout a write waits for a
// leader. It lets the leader's own answer, which says more, come first, and a
// write that does not wait for the lock wait for a commit that is under way.
const leaderGrace = time.Second

// giveUp ends the wait for w, whose context has ended.
func (r *Registry[V]) giveUp(w *request[V], cause error) (Revision, error) {
	if r.queue.withdraw(w) {
		return 0, fmt.Errorf("%w while waiting to write; nothing was changed", cause)
	}
	patience := time.NewTimer(max(r.opts.LockTimeout, time.Second))
	defer patience.Stop()
	select {
	case a := <-w.done:
		return a.deliver()
	case <-patience.C:
		return 0, fmt.Errorf("%w: %w while the write was being committed", ErrInDoubt, cause)
	}
}

func (r *Registry[V]) writable() error {
	switch {
	case r.closing.Err() != nil:
		return ErrClosed
	case r.opts.ReadOnly:
		return ErrReadOnly
	}
	return nil
}

// lead commits for everybody in the queue, group after group, until the queue
// is empty. Writers that arrive during one commit form the next group; nobody
// waits for company.
//
// Invariants:
//
//  1. There is at most one leader a handle, so groups are applied in the order
//     in which their writes were queued.
//  2. A request that was taken is answered exactly once, after the snapshot
//     that holds it is published here: a writer reads its own write.
//  3. A write is acknowledged only if it is in the snapshot that was
//     committed. If the commit fails, every request of the group gets the
//     error, those that were refused or changed nothing too: what they were
//     judged by is not there. If only its durability is unknown, so is that of
//     a write which found that it had nothing to change.
//  4. A function of the caller's that panics, or ends its goroutine, ends that
//     caller's write, and no other.
func (r *Registry[V]) lead() {
	for {
		ctx, abandon := context.WithCancel(context.Background())
		deadline, ok := r.queue.next(abandon)
		if !ok {
			abandon()
			return
		}
		g := group[V]{registry: r}
		snap, err := r.store.Commit(ctx, deadline, g.apply)
		abandoned := ctx.Err() != nil
		abandon()
		if snap != nil {
			r.publish(snap)
		}
		switch {
		case len(g.requests) > 0:
			g.count(snap != nil)
			g.answer(snap, err)
		case err == nil, abandoned: // everybody withdrew; somebody may have come since
		case errors.Is(err, ErrLockTimeout):
			r.refuse(r.queue.expired(time.Now()), err)
		default:
			// The store could not even begin. Whoever comes next tries again.
			r.refuse(r.queue.take(0), err)
		}
	}
}

func (r *Registry[V]) refuse(requests []*request[V], err error) {
	r.counts.failed.Add(uint64(len(requests)))
	for _, w := range requests {
		w.done <- answer{err: err}
	}
}

// group is the writes that share one commit.
type group[V any] struct {
	registry *Registry[V]
	requests []*request[V]
	applied  int // writes that changed something, as of the last apply
}

// apply is called by the store under the lock with the newest snapshot there
// is, once for each attempt at the commit.
func (g *group[V]) apply(base *snapshot.Snapshot[V]) *snapshot.Snapshot[V] {
	if g.requests == nil {
		// Those who have just been answered are about to write again: let
		// them into this group. With nobody ready to run this is no delay.
		runtime.Gosched()
		g.requests = g.registry.queue.take(g.registry.opts.GroupLimit)
	}
	edit := base.Edit()
	for i := 0; i < len(g.requests); i++ {
		w := g.requests[i]
		if w.broken {
			continue
		}
		before := edit.Revision()
		w.res.err = guard(func() error { return w.apply(edit) })
		w.res.revision = edit.Revision()
		w.changed = w.res.revision != before
		if brokeOff(w.res.err) {
			// It may have got half-way: all of it again, without this one.
			w.broken, w.changed = true, false
			edit, i = base.Edit(), -1
		}
	}
	g.applied = int(edit.Revision() - base.Revision())
	return edit.Snapshot()
}

func (g *group[V]) answer(snap *snapshot.Snapshot[V], err error) {
	for _, w := range g.requests {
		a := w.res
		switch {
		case w.broken: // its author's in any case
		case snap == nil:
			a = answer{err: err}
		case a.err != nil:
			a.revision = 0
		default:
			a.err = err
		}
		w.done <- a
	}
}
