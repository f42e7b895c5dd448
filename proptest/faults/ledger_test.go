package faults_test

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/machreg/machreg/registry"
)

// ledger is what a registry has acknowledged, and what it may have done besides:
// what somebody who survived a crash may demand of the file.
type ledger struct {
	mu       sync.Mutex
	here     names // acknowledged as added
	gone     names // acknowledged as removed
	maybe    names // tried, with no answer or an error that leaves it open
	revision registry.Revision
	together [][]string // added all or none
}

func newLedger(existing ...string) *ledger {
	l := &ledger{here: names{}, gone: names{}, maybe: names{}}
	for _, name := range existing {
		l.here[name] = true
	}
	return l
}

// try notes what is about to be tried: from now on it may happen.
func (l *ledger) try(names ...string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, name := range names {
		l.maybe[name] = true
		delete(l.here, name)
	}
	if len(names) > 1 {
		l.together = append(l.together, names)
	}
}

// note enters the answer. An error that says that nothing was changed is not
// taken at its word: the power may have gone in the middle of taking it back.
func (l *ledger) note(rev registry.Revision, err error, added, removed []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		return
	}
	l.revision = max(l.revision, rev)
	for _, name := range added {
		delete(l.maybe, name)
		l.here[name] = true
	}
	for _, name := range removed {
		delete(l.maybe, name)
		l.gone[name] = true
	}
}

// errLost is an acknowledged write that is not there.
var errLost = errors.New("acknowledged write lost")

// check judges a file. existed tells whether there was one to begin with.
func (l *ledger) check(data []byte, existed bool) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if data == nil {
		if existed || len(l.here) > 0 || len(l.gone) > 0 {
			return fmt.Errorf("%w: the file is missing, with %v acknowledged", errLost, l.here)
		}
		return nil
	}
	f, err := parse(data)
	if err != nil {
		return fmt.Errorf("not a whole revision: %w", err)
	}
	for name := range l.here {
		if !f.names[name] {
			return fmt.Errorf("%w: %q is not among %v", errLost, name, f.names)
		}
	}
	for name := range l.gone {
		if f.names[name] {
			return fmt.Errorf("%w: %q is still among %v", errLost, name, f.names)
		}
	}
	for name := range f.names {
		if !l.here[name] && !l.maybe[name] {
			return fmt.Errorf("%q is among %v, and nobody added it", name, f.names)
		}
	}
	for _, all := range l.together {
		if slices.ContainsFunc(all, func(n string) bool { return f.names[n] != f.names[all[0]] }) {
			return fmt.Errorf("of %q, added together, only some are in %v", all, f.names)
		}
	}
	if f.revision < l.revision {
		return fmt.Errorf("%w: the file is revision %d, acknowledged was %d", errLost, f.revision, l.revision)
	}
	return nil
}
