package registry

import (
	"errors"
	"fmt"

	"github.com/machreg/machreg/filelock"
	"github.com/machreg/machreg/snapshot"
)

// What callers branch on. Every error of this package that has one of these
// causes matches it with [errors.Is].
var (
	// ErrNotFound is a name that is not in the registry.
	ErrNotFound = errors.New("not found")
	// ErrExists is a write under [IfAbsent] for a name that is there.
	ErrExists = errors.New("already exists")
	// ErrConflict is a write whose author could not have seen what is there
	// now: an entry that a transaction read has changed since it began, or the
	// registry is no longer at the revision that [IfRevision] names.
	ErrConflict = errors.New("conflict")
	// ErrInvalid is a value, name or option that is refused; an error of
	// Schema.Check matches it.
	ErrInvalid = errors.New("invalid")
	// ErrTooLarge is a file that is over Options.MaxSize, or a write that would
	// make it so. It is [snapshot.ErrTooLarge].
	ErrTooLarge = snapshot.ErrTooLarge
	// ErrBuiltin is an attempt to remove an entry that always exists.
	ErrBuiltin = errors.New("built in, cannot be removed")
	// ErrLockTimeout is a write that did not get the lock in time; the error
	// names who held it. It is [filelock.ErrTimeout].
	ErrLockTimeout = filelock.ErrTimeout
	// ErrCorrupt is a file that is not a registry. It is
	// [snapshot.ErrCorrupt]; the error is a *snapshot.CorruptError.
	ErrCorrupt = snapshot.ErrCorrupt
	// ErrMissing is a file that was there and is gone.
	ErrMissing = snapshot.ErrMissing
	// ErrProtected is a write to a file that its permission bits let no user
	// write.
	ErrProtected = snapshot.ErrProtected
	// ErrClosed is a call on a registry after Close.
	ErrClosed = errors.New("registry is closed")
	// ErrReadOnly is a write to a registry opened with Options.ReadOnly.
	ErrReadOnly = errors.New("registry is open for reading only")
	// ErrNotDurable is a write that was committed, and that everybody sees,
	// but that a loss of power might undo: syncing the directory failed.
	ErrNotDurable = errors.New("committed, but may not be durable")
	// ErrInDoubt is a write that may or may not be applied: its commit did not
	// end within Options.LockTimeout of the end of its context, or within that
	// or half a minute of its beginning, or the file system failed in a way that
	// hides whether the file was replaced.
	ErrInDoubt = snapshot.ErrInDoubt
)

// ConflictError says what a write ran into. It matches [ErrConflict], or
// [ErrExists] if it was an [IfAbsent] that did not hold.
type ConflictError[V any] struct {
	// Name is the entry that changed; empty if the whole registry was read.
	Name string
	// Expected is the revision that the write was based on, Current the one it
	// met.
	Expected, Current Revision
	// Value is what the entry is now; Exists tells whether there is one.
	Value  V
	Exists bool

	entry snapshot.Entry[V] // what Value is copied from
	cause error
}

// Error leaves out the name, which the operation that failed puts before it.
func (e *ConflictError[V]) Error() string {
	if e.cause == ErrExists {
		return fmt.Sprintf("%v at revision %d", e.cause, e.Current)
	}
	return fmt.Sprintf("%v: changed since revision %d, now at revision %d", e.cause, e.Expected, e.Current)
}

// Unwrap returns ErrConflict or ErrExists.
func (e *ConflictError[V]) Unwrap() error { return e.cause }

// notFoundError is ErrNotFound for one name, worded only when it is printed.
type notFoundError string

func (e notFoundError) Error() string   { return fmt.Sprintf("%q not found", string(e)) }
func (notFoundError) Is(err error) bool { return err == ErrNotFound }

// invalid marks an error as ErrInvalid without adding words.
type invalidError struct{ error }

func (e invalidError) Unwrap() error      { return e.error }
func (invalidError) Is(target error) bool { return target == ErrInvalid }
