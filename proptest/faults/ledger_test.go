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
		delete(l.gone, name)
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
	if err := l.judgeLocked(f.names); err != nil {
		return err
	}
	if f.revision < l.revision {
		return fmt.Errorf("%w: the file is revision %d, acknowledged was %d", errLost, f.revision, l.revision)
	}
	return nil
}

// judge compares what a file holds with what was answered.
func (l *ledger) judge(found names) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.judgeLocked(found)
}

func (l *ledger) judgeLocked(found names) error {
	for name := range l.here {
		if !found[name] {
			return fmt.Errorf("%w: %q is not among %v", errLost, name, found)
		}
	}
	for name := range l.gone {
		if found[name] {
			return fmt.Errorf("%w: %q is still among %v", errLost, name, found)
		}
	}
	for name := range found {
		if !l.here[name] && !l.maybe[name] {
			return fmt.Errorf("%q is among %v, and nobody added it", name, found)
		}
	}
	for _, all := range l.together {
		if slices.ContainsFunc(all, func(n string) bool { return found[n] != found[all[0]] }) {
			return fmt.Errorf("of %q, added together, only some are in %v", all, found)
		}
	}
	return nil
}

// possible demands only that nothing is there that was never tried.
func (l *ledger) possible(found names) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for name := range found {
		if !l.here[name] && !l.maybe[name] && !l.gone[name] {
			return fmt.Errorf("%q is among %v, and nothing added it", name, found)
		}
	}
	return nil
}

// replaced notes that what the registry held was replaced from outside by an
// older state: what it had acknowledged since is gone or back by that.
func (l *ledger) replaced(by names) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for name := range l.here {
		if !by[name] {
			delete(l.here, name)
			l.maybe[name] = true
		}
	}
	for name := range l.gone {
		if by[name] {
			delete(l.gone, name)
			l.maybe[name] = true
		}
	}
}
