package registry

import (
	"context"
	"time"

	"github.com/machreg/machreg/snapshot"
)

// Store is where a registry's revisions live, and the only way this package
// reaches storage. The file store is the default; one on a distributed engine
// fits the same interface. All methods are safe for concurrent use.
//
// The snapshots that one store hands out never go back in revision, and of two
// with the same revision the content is the same.
type Store[V any] interface {
	// Current returns the newest snapshot the store has loaded, and whether it
	// is known to be the newest there is anywhere. It does no I/O, and never
	// blocks or allocates.
	Current() (snap *snapshot.Snapshot[V], latest bool)

	// Refresh returns a snapshot that was the newest there is at some moment
	// during the call.
	Refresh(ctx context.Context) (*snapshot.Snapshot[V], error)

	// Commit obtains the exclusive right to write, waiting for it until ctx
	// ends or the deadline passes, and then calls apply with the newest
	// snapshot there is. What apply returns becomes the next revision. Its
	// argument means that nothing changes, and nil that nothing is acknowledged
	// either, because every write was refused: the snapshot that Commit then
	// returns need not be durable. apply may be called again with a newer
	// snapshot if the store found that it had been overtaken.
	//
	// A snapshot and a nil error mean that the revision is durable. A snapshot
	// and an error matching ErrNotDurable mean that it is published, but might
	// be undone by a loss of power. After any other error the snapshot is nil and
	// nothing has changed.
	Commit(ctx context.Context, deadline time.Time, apply func(*snapshot.Snapshot[V]) *snapshot.Snapshot[V]) (*snapshot.Snapshot[V], error)

	// Changes delivers a value some time after the stored revision may have
	// changed; one value may stand for many changes. It is nil if the store
	// cannot tell; a registry polls in any case.
	Changes() <-chan struct{}

	// Status describes the store for Stats and Health.
	Status() StoreStatus

	// Close ends everything the store has under way. Current goes on working.
	Close() error
}
