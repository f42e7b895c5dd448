package filelock

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/gofrs/flock"
)

type mode uint8

const (
	exclusive mode = iota
	shared
)

// errGaveUp means that the lock was not free, or that the context ended first.
var errGaveUp = errors.New("lock not acquired")

// errStillHeld means that a lock could not be let go of: it keeps others out until
// this process ends.
var errStillHeld = errors.New("still held")

// errStuck means that the waiter lost its patience.
var errStuck = errors.New("lock not handed over")

// forever leaves the end of a wait to its context.
var forever *patience

// waitTable hands kernel locks to goroutines. A call that blocks in the kernel
// cannot be taken back, so it is made by a helper goroutine, and a waiter that
// gives up leaves its helper behind. Per file and mode:
//
//  1. One goroutine at a time negotiates with the kernel (it has the turn); the
//     others wait for their turn, which costs no thread and ends with their context.
//  2. At most one helper is pending on the file now at the path. Whoever has
//     the turn next joins it.
//  3. A helper that gets the lock while nobody wants it lets go at once.
type waitTable struct {
	mu    sync.Mutex
	slots map[slotKey]*slot
}

type slotKey struct {
	path string
	mode mode
}

// slot lives while somebody refers to it: a goroutine inside wait or a helper.
type slot struct {
	turn chan struct{} // one place: full while somebody has the turn

	// guarded by waitTable.mu
	refs    int
	pending *helper
}

// helper is one blocking call in the kernel.
type helper struct {
	fl   *flock.Flock
	at   os.FileInfo   // what was at the path when it set out; nil if nothing was
	done chan struct{} // closed when the call has returned
	err  error         // valid once done is closed

	// guarded by waitTable.mu
	wanted   bool // somebody waits for done and takes over fl
	finished bool // the call has returned
	stuck    bool // a waiter lost its patience with it
}

var waits = waitTable{slots: make(map[slotKey]*slot)}

func (t *waitTable) enter(key slotKey) *slot {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.slots[key]
	if s == nil {
		s = &slot{turn: make(chan struct{}, 1)}
		t.slots[key] = s
	}
	s.refs++
	return s
}

func (t *waitTable) leaveLocked(key slotKey) {
	s := t.slots[key]
	if s.refs--; s.refs == 0 {
		delete(t.slots, key)
	}
}

// endTurn gives the turn back after a negotiation that ended with fl (nil: no
// lock was obtained).
func (t *waitTable) endTurn(key slotKey, s *slot, fl *flock.Flock) {
	if processWideLocks && fl != nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	<-s.turn
	t.leaveLocked(key)
}

// release unlocks what try or wait returned. Its error matches errStillHeld.
//
// Where locks belong to the process (processWideLocks), closing any descriptor
// of the file drops them all. There every lock is exclusive and keeps the turn,
// so that no second descriptor is opened until its own is closed.
func (t *waitTable) release(path string, fl *flock.Flock) error {
	t.order()
	if err := unlock(fl); err != nil {
		return fmt.Errorf("%w: %w", errStillHeld, err)
	}
	if processWideLocks {
		key := slotKey{path, exclusive}
		t.mu.Lock()
		defer t.mu.Unlock()
		<-t.slots[key].turn
		t.leaveLocked(key)
	}
	return nil
}

// order makes what a holder in this process wrote to memory visible to the next
// one: between two goroutines the kernel's lock is not a synchronization that the
// Go memory model knows. It is called after each acquisition and before each
// release, and mu is the edge between them.
func (t *waitTable) order() {
	t.mu.Lock()
	defer t.mu.Unlock()
}

// try returns the locked file, or errGaveUp if the lock is taken.
func (t *waitTable) try(path string, m mode) (*flock.Flock, error) {
	if !processWideLocks {
		fl, ok, err := tryOpen(path, m)
		if err != nil || ok {
			return fl, err
		}
		return nil, errGaveUp
	}
	key := slotKey{path, exclusive}
	s := t.enter(key)
	select {
	case s.turn <- struct{}{}:
	default:
		t.mu.Lock()
		defer t.mu.Unlock()
		t.leaveLocked(key)
		return nil, errGaveUp
	}
	var locked *flock.Flock
	defer func() { t.endTurn(key, s, locked) }()
	t.mu.Lock()
	busy := s.pending != nil
	t.mu.Unlock()
	if busy {
		return nil, errGaveUp
	}
	fl, ok, err := tryOpen(path, exclusive)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, errGaveUp
	}
	locked = fl
	return fl, nil
}

// wait returns the locked file; errGaveUp if ctx ended first, errStuck if p was
// lost, now or when another goroutine waited for the same helper before. A ctx
// that has ended already leaves time for one try.
func (t *waitTable) wait(ctx context.Context, path string, m mode, p *patience) (*flock.Flock, error) {
	if processWideLocks {
		m = exclusive
	}
	key := slotKey{path, m}
	s := t.enter(key)
	select {
	case s.turn <- struct{}{}:
	default:
		if err := s.awaitTurn(ctx, p); err != nil {
			t.mu.Lock()
			defer t.mu.Unlock()
			if s.pending != nil && err == errStuck {
				s.pending.stuck = true
			}
			t.leaveLocked(key)
			return nil, err
		}
	}
	var locked *flock.Flock
	defer func() { t.endTurn(key, s, locked) }()

	h, err := t.join(s, path, p)
	if err != nil {
		return nil, err
	}
	if h == nil {
		fl, ok, err := tryOpen(path, m)
		if err != nil {
			return nil, err
		}
		if ok {
			locked = fl
			return fl, nil
		}
		h = t.start(key, s, path, fl, m)
	}
	err = t.await(ctx, h, p)
	if err == nil {
		locked = h.fl
	}
	return locked, err
}

// awaitTurn returns nil when the caller has the turn.
func (s *slot) awaitTurn(ctx context.Context, p *patience) error {
	for {
		select {
		case s.turn <- struct{}{}:
			return nil
		case <-ctx.Done():
			return errGaveUp
		case <-p.next(ctx):
			if p.lost(ctx) {
				return errStuck
			}
		}
	}
}

// join claims the pending helper, if there is one and it waits for the file that
// is at the path now. A helper left on a file that was removed since is
// forgotten: it lets go by itself whenever it gets the lock.
func (t *waitTable) join(s *slot, path string, p *patience) (*helper, error) {
	t.mu.Lock()
	h := s.pending
	t.mu.Unlock()
	if h == nil {
		return nil, nil
	}
	now, err := os.Lstat(path)
	t.mu.Lock()
	defer t.mu.Unlock()
	if h.finished {
		return nil, nil
	}
	if err != nil || h.at == nil || !os.SameFile(h.at, now) {
		s.pending = nil
		return nil, nil
	}
	if h.stuck && p != forever {
		return nil, errStuck
	}
	h.wanted = true
	return h, nil
}

func (t *waitTable) start(key slotKey, s *slot, path string, fl *flock.Flock, m mode) *helper {
	h := &helper{fl: fl, done: make(chan struct{}), wanted: true}
	if at, err := os.Lstat(path); err == nil {
		h.at = at
	}
	t.mu.Lock()
	s.pending = h
	s.refs++
	t.mu.Unlock()
	go func() {
		h.err = lockBlocking(h.fl, m)
		t.mu.Lock()
		defer t.mu.Unlock()
		h.finished = true
		if s.pending == h {
			s.pending = nil
		}
		if !h.wanted && h.err == nil {
			// Nobody is left to tell; an unlock that fails leaves the lock to the
			// end of the process, as any other failing unlock does.
			_ = unlock(h.fl)
		}
		t.leaveLocked(key)
		close(h.done)
	}()
	return h
}

// await waits for h, which the caller has claimed.
func (t *waitTable) await(ctx context.Context, h *helper, p *patience) error {
	var lost <-chan time.Time
	if p != forever {
		timer := time.NewTimer(queuePatience)
		defer timer.Stop()
		lost = timer.C
	}
	var reason error
	for reason == nil {
		select {
		case <-h.done:
			return h.err
		case <-ctx.Done():
			reason = errGaveUp
		case <-lost:
			reason = errStuck
		case <-p.next(ctx):
			if p.lost(ctx) {
				reason = errStuck
			}
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if h.finished {
		return h.err // it was faster than we: the lock is ours
	}
	h.wanted = false
	h.stuck = h.stuck || reason == errStuck
	return reason
}
