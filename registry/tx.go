package registry

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"sync"

	"github.com/machreg/machreg/snapshot"
)

// Tx is an optimistic transaction: many reads and writes on one pinned
// snapshot that take effect together or not at all. No lock is held while it
// is open, so it may be kept open, and dropped, at will. It belongs to one
// goroutine.
//
// What it read is remembered, what it did not find included. If any of that
// has changed when it commits, the commit is a conflict; ranging over the
// entries counts as reading all of them. Entries that it wrote without reading
// them are overwritten whatever they are.
type Tx[V any] struct {
	registry *Registry[V]
	base     *snapshot.Snapshot[V]
	read     map[string]struct{}
	readAll  bool
	written  map[string]*snapshot.Entry[V] // nil: removed
	refused  error                         // of the first Put that was
	done     bool                          // Commit is not for the caller to call, or not again
}

// Begin starts a transaction on the present snapshot. It does no I/O.
func (r *Registry[V]) Begin() *Tx[V] { return r.begin(r.current.Load()) }

func (r *Registry[V]) begin(base *snapshot.Snapshot[V]) *Tx[V] {
	return &Tx[V]{
		registry: r,
		base:     base,
		read:     make(map[string]struct{}),
		written:  make(map[string]*snapshot.Entry[V]),
	}
}

// Revision is the revision that the transaction reads.
func (tx *Tx[V]) Revision() Revision { return tx.base.Revision() }

// Get returns the value under name as the transaction would leave it, or
// [ErrNotFound].
func (tx *Tx[V]) Get(name string) (V, error) {
	if e, ok := tx.written[name]; ok {
		if e == nil {
			var zero V
			return zero, notFoundError(name)
		}
		return tx.registry.codec.Value(*e), nil
	}
	tx.read[name] = struct{}{}
	v, ok := tx.base.Get(name)
	if !ok {
		return v, notFoundError(name)
	}
	return v, nil
}

// All yields every entry as the transaction would leave it, by name. The
// transaction may be written to meanwhile; that does not change what is
// yielded.
func (tx *Tx[V]) All() iter.Seq2[string, V] {
	tx.readAll = true
	edit := tx.base.Edit()
	edit.Apply(tx.write())
	return edit.Snapshot().All()
}

// Put stores v under name when the transaction commits. An error matches
// [ErrInvalid]; the transaction can then no longer be committed, so that one
// which goes on regardless does not take effect in part.
func (tx *Tx[V]) Put(name string, v V) error {
	e, err := tx.registry.codec.Entry(name, v)
	if err != nil {
		err = fmt.Errorf("put: %w", invalidError{err})
		if tx.refused == nil {
			tx.refused = err
		}
		return err
	}
	tx.written[name] = &e
	return nil
}

// Holds reports whether the transaction would leave an entry of that name in
// the file, usable or quarantined: what a Put of the name would replace.
func (tx *Tx[V]) Holds(name string) bool {
	if e, ok := tx.written[name]; ok {
		return e != nil
	}
	tx.read[name] = struct{}{}
	return tx.base.Holds(name)
}

// Remove deletes name when the transaction commits. Whether it is there is
// read now: [ErrNotFound] or [ErrBuiltin] if it cannot be removed.
func (tx *Tx[V]) Remove(name string) error {
	if tx.registry.codec.Builtin(name) {
		return fmt.Errorf("remove %q: %w", name, ErrBuiltin)
	}
	if !tx.Holds(name) {
		return fmt.Errorf("remove: %w", notFoundError(name))
	}
	tx.written[name] = nil
	return nil
}

func (tx *Tx[V]) write() (w snapshot.Write[V]) {
	for name, e := range tx.written {
		if e == nil {
			w.Remove = append(w.Remove, name)
		} else {
			w.Put = append(w.Put, *e)
		}
	}
	return w
}

// Commit applies the transaction as one write, and returns the revision from
// which on it is in effect; for one that changes nothing, a revision at which
// all that it read was so. The error is a *ConflictError that matches
// [ErrConflict] if something it read has changed, and otherwise as
// [Registry.Put]'s. After a conflict this handle has seen what the transaction
// ran into: Begin again and repeat, or let [Registry.Update] do that, which is
// sure to finish under contention. A transaction commits at most once, and one
// of Update by that alone.
func (tx *Tx[V]) Commit(ctx context.Context) (Revision, error) {
	if tx.done {
		return 0, fmt.Errorf("commit: %w: the transaction was committed before, or is Update's to commit", ErrInvalid)
	}
	tx.done = true
	return tx.commit(ctx)
}

func (tx *Tx[V]) commit(ctx context.Context) (Revision, error) {
	if tx.refused != nil {
		return 0, fmt.Errorf("commit: %w", tx.refused)
	}
	rev, err := tx.registry.submit(ctx, &request[V]{apply: tx.apply})
	if c, ok := errors.AsType[*ConflictError[V]](err); ok && c.Name != "" {
		return 0, fmt.Errorf("commit: %q: %w", c.Name, err)
	}
	if err != nil {
		return rev, fmt.Errorf("commit: %w", err)
	}
	return rev, nil
}

// apply validates the reads and applies the writes, under the lock.
func (tx *Tx[V]) apply(edit *snapshot.Editor[V]) error {
	if tx.readAll && !snapshot.SameEntries(tx.base, edit.Snapshot()) {
		return conflict(edit, "", tx.base.Revision(), ErrConflict)
	}
	// In order, so that which conflict is reported does not depend on chance.
	for _, name := range slices.Sorted(maps.Keys(tx.read)) {
		if !edit.SameEntry(tx.base, name) {
			return conflict(edit, name, tx.base.Revision(), ErrConflict)
		}
	}
	_, err := edit.ApplyWithin(tx.registry.maxSize, tx.write())
	return err
}

// optimisticTries is how often Update runs without the lock before it runs
// under it.
const optimisticTries = 2

// Update runs fn on a snapshot and commits what it wrote, all or nothing. On a
// conflict it runs fn again on a newer snapshot; after two conflicts it runs fn
// under the lock, where none can happen, so that it always finishes.
//
// fn may therefore run several times and should have no effects of its own; it
// must not call a method that writes to the same registry file, which would
// wait for itself. While fn runs under the lock, every other writer waits for
// it. An error from fn ends the update and is returned as it is; a panic in fn
// reaches the caller of Update and nobody else. Other errors are as
// [Registry.Put]'s.
func (r *Registry[V]) Update(ctx context.Context, fn func(tx *Tx[V]) error) (Revision, error) {
	for range optimisticTries {
		if err := r.writable(); err != nil {
			return 0, fmt.Errorf("update: %w", err)
		}
		tx := r.Begin()
		tx.done = true
		if err := fn(tx); err != nil {
			return 0, err
		}
		rev, err := tx.commit(ctx)
		if !errors.Is(err, ErrConflict) {
			return rev, err
		}
	}
	return r.updateLocked(ctx, fn)
}

func (r *Registry[V]) updateLocked(ctx context.Context, fn func(tx *Tx[V]) error) (Revision, error) {
	var running sync.Mutex // held while fn runs; guards over
	over := false
	rev, err := r.submit(ctx, &request[V]{alone: true, apply: func(edit *snapshot.Editor[V]) error {
		running.Lock()
		defer running.Unlock()
		if over {
			return context.Canceled // of a write that was withdrawn
		}
		tx := r.begin(edit.Snapshot())
		tx.done = true
		if err := fn(tx); err != nil {
			return &callerError{err: err, returned: true}
		}
		if tx.refused != nil {
			return tx.refused
		}
		_, err := edit.ApplyWithin(r.maxSize, tx.write())
		return err
	}})
	// A caller that withdrew, or was told ErrInDoubt, must not find fn at work
	// behind its back.
	running.Lock()
	over = true
	running.Unlock()
	if end, ok := errors.AsType[*callerError](err); ok {
		return 0, end.err
	}
	if err != nil {
		err = fmt.Errorf("update: %w", err)
	}
	return rev, err
}
