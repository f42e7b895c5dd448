package registry

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/machreg/machreg/snapshot"
)

// Latest returns the newest snapshot: it holds every write that was
// acknowledged, in any process that uses this library, before the call. With
// nothing changed it costs one more atomic load than Snapshot; otherwise the
// file is looked at, and read if it is another. It waits for no lock.
//
// If a link on the registry's path is turned, or the file moved and a link left
// behind, writes made elsewhere since then are held within PollInterval.
//
// While the file cannot be read the error says why, and Snapshot has the last
// good revision.
func (r *Registry[V]) Latest(ctx context.Context) (*snapshot.Snapshot[V], error) {
	snap, latest := r.store.Current()
	if latest && r.closing.Err() == nil {
		if snap != r.current.Load() {
			r.publish(snap)
		}
		return snap, nil
	}
	if err := r.Refresh(ctx); err != nil {
		return nil, err
	}
	return r.current.Load(), nil
}

// Refresh makes plain reads see what is stored now, by whomever it was
// written. It looks at the file, and reads it if it is another than the one
// loaded. It waits for no lock.
func (r *Registry[V]) Refresh(ctx context.Context) error {
	if r.closing.Err() != nil {
		return fmt.Errorf("refresh: %w", ErrClosed)
	}
	snap, err := r.store.Refresh(ctx)
	if err != nil {
		return fmt.Errorf("refresh: %w", err)
	}
	r.publish(snap)
	return nil
}

// AtLeast returns a snapshot that holds every write up to revision rev, waiting
// for it if need be: a process that is handed the revision of another's write
// reads that write. The wait ends with ctx, or with [ErrClosed] when the
// registry is closed.
func (r *Registry[V]) AtLeast(ctx context.Context, rev Revision) (*snapshot.Snapshot[V], error) {
	snap, err := r.Latest(ctx)
	if err == nil && snap.Revision() >= rev {
		return snap, nil
	}
	retry := time.NewTicker(min(r.opts.PollInterval, atLeastRetry))
	defer retry.Stop()
	for {
		told := r.publishing.wait()
		snap, err = r.Latest(ctx)
		if err != nil && ctx.Err() == nil && errors.Is(err, ErrClosed) {
			return nil, fmt.Errorf("wait for revision %d: %w", rev, err)
		}
		if err == nil && snap.Revision() >= rev {
			return snap, nil
		}
		select {
		case <-told:
		case <-retry.C:
		case <-r.closing.Done():
		case <-ctx.Done():
			if err == nil {
				err = fmt.Errorf("now at revision %d", r.Revision())
			}
			return nil, fmt.Errorf("wait for revision %d: %w (%w)", rev, context.Cause(ctx), err)
		}
	}
}

// atLeastRetry is how often AtLeast looks if nothing tells it to.
const atLeastRetry = 50 * time.Millisecond

// keepFresh refreshes when the store reports a change, and every PollInterval
// in any case: network and FUSE file systems report nothing, and events get
// lost. One refresh serves a burst of reports, and a stream of them is followed
// at a pace. With RefreshNever it only has the store look after itself.
func (r *Registry[V]) keepFresh() {
	tick := time.NewTicker(r.opts.PollInterval)
	defer tick.Stop()
	changes := r.store.Changes()
	if r.opts.Refresh == RefreshNever {
		changes = nil
	}
	follow := newPace(time.Now())
	for {
		select {
		case <-r.closing.Done():
			return
		case <-changes:
			if wait := follow.wait(time.Now()); wait > 0 {
				select {
				case <-r.closing.Done():
					return
				case <-time.After(wait):
				}
			}
			r.awaitWrites()
			if m, ok := r.store.(maintainer); ok {
				m.relocate()
			}
		case <-tick.C:
			if m, ok := r.store.(maintainer); ok {
				m.maintain()
			}
		}
		if r.opts.Refresh == RefreshNever {
			continue
		}
		start := time.Now()
		// The error is kept by the store, for Health.
		if snap, err := r.store.Refresh(r.closing); err == nil {
			r.publish(snap)
		}
		follow.spend(start, time.Now())
	}
}

// awaitWrites waits until no write of this handle is under way, for paceMost at
// the longest. A commit reads whatever is there, under the lock, and publishes
// it: where several processes write without pause, reading it before that as
// well would be work for nothing.
func (r *Registry[V]) awaitWrites() {
	limit := time.After(paceMost)
	for {
		done, yes := r.queue.busy()
		if !yes {
			return
		}
		select {
		case <-done:
		case <-limit:
			return
		case <-r.closing.Done():
			return
		}
		// Who has just been answered may be about to write again.
		time.Sleep(writePause)
	}
}

// writePause is how soon a writer is expected to write again, if it does so
// without pause.
const writePause = time.Millisecond

// pace bounds what following other processes costs. A change that comes alone
// is followed at once. Where commits come without pause, and every one means
// that the whole file is read, each process that has it open would be busy with
// nothing else, the writers among them: then a twentieth of the time is enough,
// and one refresh serves several commits. Latest does not wait for it.
type pace struct {
	allowance time.Duration // may be negative
	at        time.Time     // when it was that
}

const (
	paceShare = 20 // one part in so many
	paceBurst = 20 * time.Millisecond
	// paceMost is the longest pause. What is accounted for is time that passed,
	// and in that a refresh may have waited for a processor.
	paceMost = 100 * time.Millisecond
)

func newPace(now time.Time) pace { return pace{paceBurst, now} }

// wait is how long to wait before the next refresh.
func (p *pace) wait(now time.Time) time.Duration {
	p.allowance = min(p.allowance+now.Sub(p.at)/paceShare, paceBurst)
	p.at = now
	return -p.allowance * paceShare
}

// spend accounts for a refresh.
func (p *pace) spend(start, end time.Time) {
	p.wait(end)
	p.allowance = max(p.allowance-end.Sub(start), -paceMost/paceShare)
}

// maintainer is a store that has something to look after now and then: Latest
// relies on it under every refresh policy.
type maintainer interface {
	maintain()
	relocate() error // a change may be one of where the registry is
}
