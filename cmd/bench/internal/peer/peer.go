// Package peer holds what the benchmarks compare: machreg, the algorithm it
// was built to replace, the floors, and the embedded stores that a program
// might use instead. All store the same machines, in the same encoding, and
// acknowledge a write when it is durable, except where a Kind says otherwise.
package peer

import (
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"

	"github.com/machreg/machreg/cmd/bench/internal/fleet"
)

// ErrNotFound is a machine that is not in a store.
var ErrNotFound = errors.New("not found")

// Store is one handle on a store in a directory. Its methods are safe for
// concurrent use.
type Store interface {
	Get(name string) (fleet.Machine, error)
	Close() error
}

// Adder is a store that can be written to.
type Adder interface {
	Store
	// Add stores a machine, new or not, and returns when it is durable.
	Add(m fleet.Machine) error
}

// Lister is a store that can return or visit all machines.
type Lister interface {
	Store
	// List returns how many machines it copied into a slice of the caller's.
	List() (int, error)
	// Range visits every machine until yield returns false.
	Range(yield func(m *fleet.Machine) bool) error
}

// Transactor is a store whose transactions may read and write.
type Transactor interface {
	Store
	// Transact reads two machines and writes the second one anew, as one
	// durable transaction.
	Transact(first, second string, next func(fleet.Machine) fleet.Machine) error
}

// Options adjusts a handle.
type Options struct {
	// Writers is how many goroutines will add at the same time.
	Writers int
	// Trace makes machreg's store remember when each commit held the lock.
	Trace *Trace
}

// Kind is a kind of store.
type Kind struct {
	Name string
	// Variant is a store that is only measured where it is asked for by name.
	Variant bool
	// Processes says that several processes may have the store open.
	Processes bool
	// Note is what a reader of the results must know.
	Note string
	// Open opens the store in dir.
	Open func(dir string, o Options) (Store, error)
	// Fill makes a store with these machines in an empty dir.
	Fill func(dir string, machines iter.Seq[fleet.Machine]) error
}

// The names of the kinds that results are compared with.
const (
	Machreg        = "machreg"
	Unwatched      = "machreg-unwatched"
	Floor          = "floor"
	Baseline       = "baseline"
	BaselineLocked = "baseline-locked"
	SQLite         = "sqlite"
)

// Kinds lists all kinds there are in this build, machreg first.
func Kinds() []Kind {
	kinds := []Kind{machregKind, unwatchedKind, floorKind, baselineKind, lockedKind, boltKind, boltRawKind, sqliteKind, memdbKind}
	return append(kinds, lmdbKinds...)
}

// Find returns the kind of that name.
func Find(name string) (Kind, error) {
	for _, k := range Kinds() {
		if k.Name == name {
			return k, nil
		}
	}
	return Kind{}, fmt.Errorf("store %q is not in this build", name)
}

// Copy makes dst a copy of the filled store in src.
func Copy(dst, src string) error {
	if err := os.MkdirAll(filepath.Dir(dst), 0o755); err != nil {
		return err
	}
	return os.CopyFS(dst, os.DirFS(src))
}
