package registry

import (
	"context"
	"fmt"
	"iter"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/machreg/machreg/filelock"
	"github.com/machreg/machreg/snapshot"
)

// Revision is a registry's version number: +1 for every applied write.
type Revision = snapshot.Revision

// Schema says what a registry holds; see [snapshot.Schema].
type Schema[V any] = snapshot.Schema[V]

// Registry is one handle on a registry. All its methods are safe for
// concurrent use.
type Registry[V any] struct {
	// Locks are taken in this order:
	//
	//  1. leadership: queue.leading, at most one leader a handle
	//  2. the store's right to write: the file lock, between handles and processes
	//  3. the store's own mutex
	//  4. queue.mu, publishing.mu, logs.mu: held for a few instructions, nothing
	//     inside

	// Immutable after Open.
	codec *snapshot.Codec[V]
	store Store[V]
	opts  Options
	log   *slog.Logger
	logs  *logQueue // what log writes to; nil if that is silent
	// patience bounds the wait for a commit that has begun.
	patience time.Duration
	maxSize  int64 // of the file

	// current is the snapshot that plain reads are served from. It is stored
	// by publish, before the waiters are told, and loaded by every reader; its
	// revision only grows.
	current atomic.Pointer[snapshot.Snapshot[V]]

	publishing broadcast
	queue      queue[V]
	counts     counters

	closing    context.Context // ends when Close begins
	stop       context.CancelCauseFunc
	closeOnce  sync.Once
	closeErr   error
	background sync.WaitGroup
}

// Open opens the registry file at path, which need not exist (nor its directory:
// the first write makes both), with any value
// type. It reads the file, waits for no lock, and starts watching for changes
// unless opts say otherwise. Errors: [ErrCorrupt], [ErrInvalid] for a path or
// options that cannot be used, or that of the file system.
func Open[V any](path string, schema Schema[V], opts *Options) (*Registry[V], error) {
	o := opts.orDefault()
	logs := queueLogs(&o)
	codec, err := snapshot.NewCodec(schema)
	if err != nil {
		return nil, fmt.Errorf("open registry %q: %w", path, invalidError{err})
	}
	store, err := openFileStore(path, codec, o)
	if err != nil {
		return nil, fmt.Errorf("open registry: %w", err)
	}
	limit := o.MaxSize
	if limit <= 0 {
		limit = snapshot.DefaultMaxSize
	}
	return newRegistry(codec, store, o, logs, limit), nil
}

// OpenStore opens a registry on a store of the caller's. Of opts, those that
// speak of files have no effect.
func OpenStore[V any](store Store[V], schema Schema[V], opts *Options) (*Registry[V], error) {
	codec, err := snapshot.NewCodec(schema)
	if err != nil {
		return nil, fmt.Errorf("open registry: %w", invalidError{err})
	}
	o := opts.orDefault()
	logs := queueLogs(&o)
	return newRegistry(codec, store, o, logs, math.MaxInt64), nil
}

func newRegistry[V any](codec *snapshot.Codec[V], store Store[V], o Options, logs *logQueue, maxSize int64) *Registry[V] {
	r := &Registry[V]{
		codec: codec, store: store, opts: o, log: o.Logger, logs: logs,
		patience: max(o.LockTimeout, filelock.DefaultTimeout),
		maxSize:  maxSize,
	}
	r.closing, r.stop = context.WithCancelCause(context.Background())
	r.publishing.init()
	snap, _ := store.Current()
	r.current.Store(snap)
	r.warn(nil, snap)
	r.background.Go(r.keepFresh)
	return r
}

// Close waits for the writes that are under way, ends every Watch, and lets go
// of everything the handle has open. Reads go on returning the last snapshot;
// every other call returns [ErrClosed]. Only the first call does something; all
// wait for it and return its error.
//
// It waits for the lock timeout and ten seconds more. Whatever is at work then, a
// function of the program's that does not return, say, is left to itself, with
// what it has open, and the error matches [ErrInDoubt].
func (r *Registry[V]) Close() error {
	r.closeOnce.Do(func() {
		closed := make(chan error, 1)
		go func() {
			r.queue.close()
			r.stop(ErrClosed)
			r.background.Wait()
			err := r.store.Close()
			r.logs.drain()
			closed <- err
		}()
		patience := time.NewTimer(max(r.opts.LockTimeout, 0) + closeGrace)
		defer patience.Stop()
		select {
		case r.closeErr = <-closed:
		case <-patience.C:
			r.stop(ErrClosed)
			r.closeErr = fmt.Errorf("close registry: %w: a function of this program, or the disk, does not return", ErrInDoubt)
		}
	})
	return r.closeErr
}

// closeGrace is how much longer than for the lock Close waits. A test shortens
// it.
var closeGrace = 10 * time.Second

// Get returns the value stored under name, or [ErrNotFound]. It is wait-free
// and does no I/O; it does not allocate if the name is there. What it returns
// is never older than anything this handle returned before, nor than this
// handle's own acknowledged writes.
func (r *Registry[V]) Get(name string) (V, error) {
	v, ok := r.current.Load().Get(name)
	if !ok {
		return v, notFoundError(name)
	}
	return v, nil
}

// All yields every name and value of one snapshot, by name. Cost and freshness
// are as Get's.
func (r *Registry[V]) All() iter.Seq2[string, V] { return r.current.Load().All() }

// Len is the number of entries. Cost and freshness are as Get's.
func (r *Registry[V]) Len() int { return r.current.Load().Len() }

// Revision is the revision that plain reads are served from.
func (r *Registry[V]) Revision() Revision { return r.current.Load().Revision() }

// Snapshot returns the present revision as a whole, to be read for as long as
// the caller likes. Cost and freshness are as Get's.
func (r *Registry[V]) Snapshot() *snapshot.Snapshot[V] { return r.current.Load() }

// publish makes snap what plain reads see, unless they see that or a newer one
// already. The root is swapped first and the waiters told second: a waiter that
// is told finds what it was told of.
func (r *Registry[V]) publish(snap *snapshot.Snapshot[V]) {
	if old, ok := r.swap(snap); ok {
		r.warn(old, snap)
	}
}

func (r *Registry[V]) swap(snap *snapshot.Snapshot[V]) (old *snapshot.Snapshot[V], newer bool) {
	r.publishing.mu.Lock()
	defer r.publishing.mu.Unlock()
	old = r.current.Load()
	if !snap.After(old) {
		return old, false
	}
	r.current.Store(snap)
	r.publishing.tellLocked()
	return old, true
}

// warn logs the entries of snap that cannot be used and were not so in old,
// which may be nil: readers just do not see them. It names the first few and
// counts the others.
func (r *Registry[V]) warn(old, snap *snapshot.Snapshot[V]) {
	const named = 10
	n := 0
	for q := range snap.QuarantinedSince(old) {
		if n++; n <= named {
			r.log.Warn("an entry of the registry cannot be used and is not served", "name", q.Name, "reason", q.Reason)
		}
	}
	if n > named {
		r.log.Warn("more entries of the registry cannot be used and are not served", "count", n-named)
	}
}

// broadcast wakes everybody who waits.
type broadcast struct {
	mu    sync.Mutex
	next  chan struct{} // closed by the next tell
	taken bool          // somebody waits on next
}

func (b *broadcast) init() { b.next = make(chan struct{}) }

// wait returns a channel that the next tell closes.
func (b *broadcast) wait() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.taken = true
	return b.next
}

func (b *broadcast) tellLocked() {
	if b.taken {
		close(b.next)
		b.next, b.taken = make(chan struct{}), false
	}
}
