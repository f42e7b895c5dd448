package registry

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/machreg/machreg/snapshot"
)

// submit waits until a write is committed or refused. While it waits for the
// lock it can be given up: by ctx, or by the lock timeout. Once its commit has
// begun its outcome is about to be known, and is waited for, for at most the
// lock timeout again.
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
	select {
	case a := <-w.done:
		return a.revision, a.err
	case <-ctx.Done():
	}
	if r.queue.withdraw(w) {
		return 0, fmt.Errorf("%w while waiting to write; nothing was changed", context.Cause(ctx))
	}
	patience := time.NewTimer(max(r.opts.LockTimeout, time.Second))
	defer patience.Stop()
	select {
	case a := <-w.done:
		return a.revision, a.err
	case <-patience.C:
		return 0, fmt.Errorf("%w: %w while the write was being committed", ErrInDoubt, context.Cause(ctx))
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
//     judged by is not there.
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
		abandon()
		if snap != nil {
			r.publish(snap)
		}
		switch {
		case len(g.requests) > 0:
			g.count(snap != nil)
			g.answer(snap, err)
		case err == nil: // everybody withdrew at the last moment
		case errors.Is(err, ErrLockTimeout):
			refuse(r.queue.expired(time.Now()), err)
		case !errors.Is(err, context.Canceled):
			// The store could not even begin. Whoever comes next tries again.
			refuse(r.queue.take(0), err)
		}
	}
}

func refuse[V any](requests []*request[V], err error) {
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
	for _, w := range g.requests {
		before := edit.Revision()
		w.res.err = w.apply(edit)
		w.res.revision = edit.Revision()
		w.changed = w.res.revision != before
	}
	g.applied = int(edit.Revision() - base.Revision())
	return edit.Snapshot()
}

func (g *group[V]) answer(snap *snapshot.Snapshot[V], err error) {
	for _, w := range g.requests {
		a := w.res
		end, _ := errors.AsType[*callerError](a.err)
		switch {
		case end != nil && !end.returned: // a panic is its author's in any case
		case snap == nil:
			a = answer{err: err}
		case a.err != nil:
			a.revision = 0
		case err != nil && w.changed:
			a.err = err
		}
		w.done <- a
	}
}
