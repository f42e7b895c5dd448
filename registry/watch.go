package registry

import (
	"context"
	"iter"

	"github.com/machreg/machreg/snapshot"
)

// Change is the difference between two revisions.
type Change[V any] = snapshot.Change[V]

// WatchOption adjusts a [Registry.Watch].
type WatchOption struct{ initial bool }

// WithInitial makes a watch begin with the present state: the first change is
// from revision 0, with every entry as added. It is yielded also when there are
// no entries, so that a consumer knows where the initial state ends.
func WithInitial() WatchOption { return WatchOption{initial: true} }

// Watch yields the changes of the registry from the present revision on, that
// is, from the one at the call of Watch, each beginning where the one before it
// ended. It is a pull iterator: a step waits
// until the current snapshot is newer than what was delivered, and yields the
// difference. Nothing is queued, so a slow consumer costs nobody anything and
// gets fewer, larger changes; composed in order they always give the present
// state. A hand edit is no revision: To may then equal From. An entry that is
// renamed is removed and added. While the file cannot
// be read nothing is yielded; see [Registry.Health].
//
// Writes of other processes arrive as Options.Refresh says, typically within a
// millisecond of their commit; with [RefreshNever] only when something on this
// handle refreshes.
//
// It ends after an error: that of ctx, or [ErrClosed].
func (r *Registry[V]) Watch(ctx context.Context, opts ...WatchOption) iter.Seq2[Change[V], error] {
	// Pinned now, not at the first step: what changes between the call and the
	// first step must not be missed.
	last := r.current.Load()
	first := false
	for _, o := range opts {
		first = first || o.initial
	}
	return func(yield func(Change[V], error) bool) {
		last, first := last, first
		from := last.Revision()
		for {
			// Asked for before the snapshot is loaded, so that a publish
			// between the two is not slept through.
			told := r.publishing.wait()
			now := r.current.Load()
			switch {
			case ctx.Err() != nil || r.closing.Err() != nil:
				yield(Change[V]{}, r.watchEnd(ctx))
				return
			case first:
				first = false
				last, from = now, now.Revision()
				if !yield(initial(now), nil) {
					return
				}
			case now.After(last):
				change := snapshot.Diff(last, now)
				last = now
				if change.Empty() {
					continue // writes that cancelled out; the next change spans them
				}
				change.From, from = from, change.To
				if !yield(change, nil) {
					return
				}
			default:
				select {
				case <-told:
				case <-ctx.Done():
				case <-r.closing.Done():
				}
			}
		}
	}
}

func (r *Registry[V]) watchEnd(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return ErrClosed
}

func initial[V any](s *snapshot.Snapshot[V]) Change[V] {
	c := Change[V]{To: s.Revision()}
	for name, v := range s.All() {
		c.Added = append(c.Added, snapshot.Item[V]{Name: name, Value: v})
	}
	return c
}
