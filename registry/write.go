package registry

import (
	"context"
	"fmt"

	"github.com/machreg/machreg/snapshot"
)

// Condition restricts a write; see [IfAbsent] and [IfRevision].
type Condition struct {
	absent   bool
	exact    bool
	revision Revision
}

// IfAbsent lets a write happen only if there is no entry of that name, not
// even a quarantined one. Otherwise the error is a *ConflictError that matches
// [ErrExists].
func IfAbsent() Condition { return Condition{absent: true} }

// IfRevision lets a write happen only if the registry is still at revision r,
// so that nothing at all has changed since its author looked. Otherwise the
// error is a *ConflictError that matches [ErrConflict]. Content that was edited
// by hand is at no revision; a write that is refused for that gives it one, so
// that its author can look again and repeat it.
func IfRevision(r Revision) Condition { return Condition{exact: true, revision: r} }

func check[V any](edit *snapshot.Editor[V], name string, conds []Condition) error {
	for _, c := range conds {
		switch {
		case c.absent && edit.Holds(name):
			return conflict(edit, name, edit.Revision(), ErrExists)
		case c.exact && c.revision != edit.Revision():
			return conflict(edit, name, c.revision, ErrConflict)
		}
	}
	return nil
}

func conflict[V any](edit *snapshot.Editor[V], name string, expected Revision, cause error) error {
	e := &ConflictError[V]{Name: name, Expected: expected, Current: edit.Revision(), cause: cause}
	if name != "" {
		e.entry, e.Exists = edit.Entry(name)
	}
	return e
}

// Put stores v under name, new or not, and returns the revision from which on
// it is there. Members of an existing entry that V does not know are kept; a
// put that changes nothing costs no file update.
//
// It waits for the lock, for at most Options.LockTimeout, and for the disk;
// concurrent writes share both. After an error nothing is changed, here or on
// disk, except with [ErrNotDurable] and [ErrInDoubt]. Other errors:
// [ErrInvalid], [ErrTooLarge], [ErrExists] and [ErrConflict] as the conditions
// say, [ErrLockTimeout], [ErrCorrupt], [ErrMissing], [ErrReadOnly],
// [ErrClosed], those of ctx and of the file system.
func (r *Registry[V]) Put(ctx context.Context, name string, v V, conds ...Condition) (Revision, error) {
	return r.put(ctx, "put", name, v, conds)
}

func (r *Registry[V]) put(ctx context.Context, verb, name string, v V, conds []Condition) (Revision, error) {
	entry, err := r.codec.Entry(name, v)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", verb, invalidError{err})
	}
	w := snapshot.Write[V]{Put: []snapshot.Entry[V]{entry}}
	rev, err := r.submit(ctx, &request[V]{apply: func(edit *snapshot.Editor[V]) error {
		if err := check(edit, name, conds); err != nil {
			return err
		}
		_, err := edit.ApplyWithin(r.maxSize, w)
		return err
	}})
	if err != nil {
		return rev, fmt.Errorf("%s %q: %w", verb, name, err)
	}
	return rev, nil
}

// Remove deletes the entry of that name, a quarantined one too, and returns the
// revision from which on it is gone. Errors are as Put's, and [ErrNotFound] and
// [ErrBuiltin].
func (r *Registry[V]) Remove(ctx context.Context, name string, conds ...Condition) (Revision, error) {
	if r.codec.Builtin(name) {
		return 0, fmt.Errorf("remove %q: %w", name, ErrBuiltin)
	}
	w := snapshot.Write[V]{Remove: []string{name}}
	rev, err := r.submit(ctx, &request[V]{apply: func(edit *snapshot.Editor[V]) error {
		if err := check(edit, name, conds); err != nil {
			return err
		}
		changed, err := edit.ApplyWithin(r.maxSize, w)
		if err == nil && !changed {
			return ErrNotFound
		}
		return err
	}})
	if err != nil {
		return rev, fmt.Errorf("remove %q: %w", name, err)
	}
	return rev, nil
}
