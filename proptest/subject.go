package proptest

import (
	"errors"
	"iter"

	"github.com/machreg/machreg/registry"
)

// Subject is one handle on a registry under test: the operations that every
// registry has. All of them must be safe for concurrent use, unless the tests
// are told that there is one goroutine only ([Sequential]).
//
// Errors are told apart by what they match with [errors.Is]: registry.ErrNotFound,
// ErrInvalid and ErrBuiltin for all subjects, and ErrExists, ErrConflict,
// ErrCorrupt, ErrMissing and ErrReadOnly for those that can run into them. A registry holds
// the machine "local" from the start, refuses a machine that
// [registry.Machine.Validate] refuses, and lists by name.
//
// The interfaces below are what a subject may be able to do beyond that. A
// subject that also is an [io.Closer] is closed when the test is done with it.
type Subject interface {
	Get(name string) (registry.Machine, error)
	List() []registry.Machine
	// Add stores m, replacing a machine of that name.
	Add(m registry.Machine) error
	Remove(name string) error
}

// New opens a handle on the registry in dir, an existing directory that
// belongs to the test. It is called with a new directory for a new registry.
// Of a subject that is [Shared] it is called several times with the same one.
type New func(dir string) (Subject, error)

// View is one immutable revision of a registry. *snapshot.Snapshot is one.
type View interface {
	Revision() registry.Revision
	Get(name string) (registry.Machine, bool)
	All() iter.Seq2[string, registry.Machine]
	Len() int
}

// edited reports whether v is content that no commit published.
func edited(v View) bool {
	e, is := v.(interface{ Edited() bool })
	return is && e.Edited()
}

// Condition restricts a write; the zero value does not.
type Condition struct {
	// Absent lets the write happen only if the name is not there.
	Absent bool
	// At, if not nil, lets it happen only at that revision of the registry.
	At *registry.Revision
}

// Versioned is a subject with revisions: every applied write adds one, and
// says which it was. A write that changes nothing returns the present one.
type Versioned interface {
	// Revision is the one that Get and List are served from.
	Revision() registry.Revision
	Snapshot() View
	Put(m registry.Machine, c Condition) (registry.Revision, error)
	Delete(name string, c Condition) (registry.Revision, error)
}

// Refresher is a subject that can be told to look at what is stored now.
type Refresher interface {
	Refresh() error
}

// Latest is a subject with linearizable reads.
type Latest interface {
	Latest() (View, error)
	// AtLeast waits until revision r is visible.
	AtLeast(r registry.Revision) (View, error)
}

// Transactional is a subject with optimistic transactions.
type Transactional interface {
	Begin() Tx
	// Update runs fn until its transaction commits without a conflict. An
	// error of fn ends it and is returned as it is.
	Update(fn func(Tx) error) (registry.Revision, error)
}

// Tx is one transaction. A commit must match registry.ErrConflict if anything
// that was read has changed; All reads everything.
type Tx interface {
	Revision() registry.Revision
	Get(name string) (registry.Machine, error)
	All() iter.Seq2[string, registry.Machine]
	Put(m registry.Machine) error
	Remove(name string) error
	Commit() (registry.Revision, error)
}

// SaveBreaker is a subject whose saves can be made to fail.
type SaveBreaker interface {
	// BreakSaves makes every save of this handle fail until mend is called.
	BreakSaves() (mend func(), err error)
}

// class is what an error means to a caller; empty is none.
type class string

const (
	ok       class = ""
	notFound class = "not found"
	exists   class = "exists"
	conflict class = "conflict"
	invalid  class = "invalid"
	builtin  class = "built in"
	corrupt  class = "corrupt"
	missing  class = "missing"
	readOnly class = "read only"
	other    class = "other"
)

func classOf(err error) class {
	switch {
	case err == nil:
		return ok
	case errors.Is(err, registry.ErrNotFound):
		return notFound
	case errors.Is(err, registry.ErrExists):
		return exists
	case errors.Is(err, registry.ErrConflict):
		return conflict
	case errors.Is(err, registry.ErrBuiltin):
		return builtin
	case errors.Is(err, registry.ErrInvalid):
		return invalid
	case errors.Is(err, registry.ErrCorrupt):
		return corrupt
	case errors.Is(err, registry.ErrMissing):
		return missing
	case errors.Is(err, registry.ErrReadOnly):
		return readOnly
	}
	return other
}
