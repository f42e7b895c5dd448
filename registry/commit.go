package registry

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/machreg/machreg/snapshot"
)

// submit queues a write and waits until it is committed or refused. Until the
// group that it is committed with is sealed it can be withdrawn: because ctx
// has ended, or because the lock timeout is over. After that its outcome is
// awaited, and if it does not come in time, in doubt.
func (r *Registry[V]) submit(ctx context.Context, w *request[V]) (Revision, error) {
	if err := ctx.Err(); err != nil {
		return 0, context.Cause(ctx)
	}
	if err := r.writable(); err != nil {
		return 0, err
	}
	w.deadline = time.Now().Add(max(r.opts.LockTimeout, 0))
	w.done = make(chan answer, 1)
	lead, err := r.queue.add(w)
	if err != nil {
		return 0, err
	}
	if lead {
		go r.lead()
	}
	// The leader ends waits for the lock. This is for a leader that is itself
	// held up, by a function that hangs under the lock, say.
	overdue := time.NewTimer(time.Until(w.deadline.Add(leaderGrace)))
	defer overdue.Stop()
	ended, longest := ctx.Done(), time.Time{}
	var cause error
	for {
		select {
		case a := <-w.done:
			return r.deliver(a)
		case <-ended:
			ended, cause = nil, context.Cause(ctx)
			longest = time.Now().Add(max(r.opts.LockTimeout, time.Second))
		case <-overdue.C:
		}
		withdrawn, sealed := r.queue.withdraw(w, cause != nil)
		limit := sealed.Add(r.patience)
		if cause != nil && longest.Before(limit) {
			limit = longest
		}
		switch {
		case withdrawn && cause != nil:
			return 0, fmt.Errorf("%w while waiting to write; nothing was changed", cause)
		case withdrawn:
			return 0, fmt.Errorf("%w: a write of this process that is ahead does not end; nothing was changed", ErrLockTimeout)
		case sealed.IsZero(): // its own function is at work
			overdue.Reset(r.patience)
		case time.Now().Before(limit):
			overdue.Reset(time.Until(limit))
		case r.queue.leave(w):
			if cause == nil {
				cause = errors.New("the store does not answer")
			}
			return 0, fmt.Errorf("%w: %w while the write was being committed", ErrInDoubt, cause)
		}
	}
}

// leaderGrace is how much longer than the lock timeout a write waits for a
// leader. It lets the leader's own answer, which says more, come first, and a
// write that does not wait for the lock wait for a commit that is under way.
const leaderGrace = time.Second

// deliver gives the answer to the writer, in its own goroutine, which is where
// the schema's code runs that copies a value for it.
func (r *Registry[V]) deliver(a answer) (Revision, error) {
	if brokeOff(a.err) {
		return 0, a.err.(*callerError).deliver()
	}
	if c, ok := a.err.(*ConflictError[V]); ok && c.Exists {
		c.Value = r.codec.Value(c.entry)
	}
	return a.revision, a.err
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
//     caller's write, and no other. One that does not return holds up no other
//     write for longer than its wait for the lock may take.
//  5. A write that was withdrawn is in no commit: its group is sealed after the
//     last of its writes is applied, and applied again if one was withdrawn.
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
		case snap == nil && errors.Is(err, ErrLockTimeout):
			// Of those that may have joined later than others, some have time
			// left.
			r.queue.putBack(g.requests)
			r.refuse(r.queue.expired(time.Now()), err)
		case g.formed:
			g.count(snap != nil)
			g.answer(snap, err)
		case err == nil, abandoned: // everybody withdrew; somebody may have come since
		default:
			// The store could not even begin. Whoever comes next tries again.
			r.refuse(r.queue.drain(), err)
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
	formed   bool
	requests []*request[V]
	applied  int // writes that changed something, as of the last apply
}

// apply is called by the store under the lock with the newest snapshot there
// is, once for each attempt at the commit.
func (g *group[V]) apply(base *snapshot.Snapshot[V]) *snapshot.Snapshot[V] {
	q := &g.registry.queue
	if g.formed {
		g.requests = q.unseal(g.requests)
	} else {
		// Those who have just been answered are about to write again: let
		// them into this group. With nobody ready to run this is no delay.
		runtime.Gosched()
		g.requests, g.formed = q.take(g.registry.opts.GroupLimit), true
	}
	for {
		edit := base.Edit()
		g.applied = 0
		g.applyTo(edit)
		rest, sealed := q.seal(g.requests, time.Now())
		if g.requests = rest; sealed {
			acknowledged, met := g.verdicts()
			if acknowledged || met {
				edit.Settle()
			}
			if next := edit.Snapshot(); acknowledged || next != base {
				return next
			}
			return nil
		}
	}
}

// applyTo applies the requests one after another. It does so on a goroutine of
// its own, which a function of a caller's may end by a panic or otherwise. That
// leaves the editor as it was before the caller's request; another goroutine
// goes on behind it.
func (g *group[V]) applyTo(edit *snapshot.Editor[V]) {
	rest := g.requests
	for len(rest) > 0 {
		if err := run(func() error {
			for ; len(rest) > 0; rest = rest[1:] {
				if w := rest[0]; !w.broken {
					before := edit.Revision()
					err := w.apply(edit)
					w.res = answer{edit.Revision(), err}
					if edit.Revision() != before {
						g.applied++
					}
				}
			}
			return nil
		}); err != nil {
			rest[0].broken, rest[0].res.err = true, err
			rest = rest[1:]
		}
	}
}

// verdicts reports whether a write is acknowledged, and whether one is refused
// for what it met. Both are told of a revision, which content that was edited by
// hand has to be given first; the second can then be tried again.
func (g *group[V]) verdicts() (acknowledged, met bool) {
	for _, w := range g.requests {
		_, conflict := errors.AsType[*ConflictError[V]](w.res.err)
		acknowledged = acknowledged || w.res.err == nil
		met = met || conflict
	}
	return acknowledged, met
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
