package registry

import (
	"slices"
	"sync"
	"time"

	"github.com/machreg/machreg/snapshot"
)

// request is one write on its way to a commit.
//
// Who owns it: its writer until it is in the queue; the queue, where the writer
// may still withdraw it; from take on the leader, which answers it exactly
// once, unless it finds that the writer has left.
type request[V any] struct {
	// apply adds the write to what is being made, as a whole or, if it does not
	// return or returns an error, not at all. It runs under the lock, and again
	// from the start if the commit has to start over.
	apply func(*snapshot.Editor[V]) error
	// alone marks a write whose apply runs a function of its author's, which may
	// take long: it shares its commit with no other.
	alone    bool
	deadline time.Time // until when to wait for the lock
	done     chan answer

	// Of the leader.
	res    answer // as of the last apply
	broken bool   // apply did not return; it is not called again

	// Guarded by the queue's mu.
	group *seal // nil until it is taken
	left  bool  // the writer has gone: withdrawn, or in doubt
}

// answer is what became of a request.
type answer struct {
	revision Revision
	err      error
}

// seal is the state of a group; guarded by the queue's mu.
type seal struct {
	at   time.Time // when all writes had been applied, so that none can be withdrawn; zero before that
	left int       // writes whose writers have left, and that are still in the group
}

// queue holds the writes that wait for a leader, in the order they came.
type queue[V any] struct {
	mu      sync.Mutex
	waiting []*request[V] // guarded by mu
	leading bool          // guarded by mu: a leader is running
	rested  chan struct{} // guarded by mu: closed when that leader is done
	group   *seal         // guarded by mu: of the group that was taken last
	closed  bool          // guarded by mu
	// abandon stops the leader's wait for the lock; guarded by mu, nil while
	// it does not wait.
	abandon func()
}

// add puts a request in line and reports whether the caller must start a
// leader.
func (q *queue[V]) add(w *request[V]) (lead bool, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return false, ErrClosed
	}
	q.waiting = append(q.waiting, w)
	if lead = !q.leading; lead {
		q.leading, q.rested = true, make(chan struct{})
	}
	return lead, nil
}

// withdraw takes a request back and reports whether it could: it cannot once
// its group is sealed, and says since when that is. A request that is alone in
// its group is withdrawn from there only if its own author has cancelled it.
// Nobody left in the queue means that the leader need not wait either.
func (q *queue[V]) withdraw(w *request[V], cancelled bool) (done bool, sealed time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if w.group != nil {
		if sealed = w.group.at; sealed.IsZero() && (cancelled || !w.alone) {
			w.leaveLocked()
		}
		return w.left, sealed
	}
	if i := slices.Index(q.waiting, w); i >= 0 {
		q.waiting = slices.Delete(q.waiting, i, i+1)
	}
	if len(q.waiting) == 0 && q.abandon != nil {
		q.abandon()
	}
	return true, time.Time{}
}

// leave tells the leader that the writer waits no longer, although it may be
// committed, and reports whether that is so: an answer may have come.
func (q *queue[V]) leave(w *request[V]) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(w.done) == 0 {
		w.leaveLocked()
	}
	return w.left
}

func (w *request[V]) leaveLocked() {
	if !w.left {
		w.left = true
		w.group.left++
	}
}

// next returns the deadline of the request that has waited longest, and notes
// how to abandon the wait that the leader is about to begin. If nobody waits,
// the caller is no longer the leader.
func (q *queue[V]) next(abandon func()) (deadline time.Time, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) == 0 {
		q.leading, q.abandon = false, nil
		close(q.rested)
		return time.Time{}, false
	}
	q.abandon = abandon
	deadline = q.waiting[0].deadline
	for _, w := range q.waiting[1:] {
		if w.deadline.Before(deadline) {
			deadline = w.deadline
		}
	}
	return deadline, true
}

// take hands the next group to the leader: up to limit requests, 0 being any
// number, or a single one that has to be alone.
func (q *queue[V]) take(limit int) []*request[V] {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.abandon = nil
	n := len(q.waiting)
	if limit > 0 {
		n = min(n, limit)
	}
	if i := slices.IndexFunc(q.waiting[:n], func(w *request[V]) bool { return w.alone }); i >= 0 {
		n = max(i, 1)
	}
	return q.takeLocked(n)
}

func (q *queue[V]) takeLocked(n int) []*request[V] {
	taken := slices.Clone(q.waiting[:n])
	q.waiting = slices.Delete(q.waiting, 0, n)
	q.group = new(seal)
	for _, w := range taken {
		w.group = q.group
	}
	return taken
}

// drain hands all requests to the leader, to be refused.
func (q *queue[V]) drain() []*request[V] {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.takeLocked(len(q.waiting))
}

// seal closes a group whose requests are applied. If some were withdrawn
// meanwhile it stays open, for the rest of them to be applied again.
func (q *queue[V]) seal(group []*request[V], now time.Time) (rest []*request[V], sealed bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.group.left > 0 {
		return q.presentLocked(group), false
	}
	q.group.at = now
	return group, true
}

// unseal opens a group again, whose commit is known to have come to nothing.
func (q *queue[V]) unseal(group []*request[V]) (rest []*request[V]) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.group.at = time.Time{}
	return q.presentLocked(group)
}

// putBack returns the requests of such a group to the head of the line.
func (q *queue[V]) putBack(group []*request[V]) {
	q.mu.Lock()
	defer q.mu.Unlock()
	group = q.presentLocked(group)
	for _, w := range group {
		w.group = nil
	}
	q.waiting = slices.Insert(q.waiting, 0, group...)
}

// presentLocked leaves out the requests whose writers have left.
func (q *queue[V]) presentLocked(group []*request[V]) []*request[V] {
	if q.group != nil {
		q.group.left = 0
	}
	return slices.DeleteFunc(group, func(w *request[V]) bool { return w.left })
}

// expired takes out the requests whose deadline is not after now.
func (q *queue[V]) expired(now time.Time) []*request[V] {
	q.mu.Lock()
	defer q.mu.Unlock()
	var out []*request[V]
	q.waiting = slices.DeleteFunc(q.waiting, func(w *request[V]) bool {
		late := !w.deadline.After(now)
		if late {
			out = append(out, w)
		}
		return late
	})
	return out
}

// busy tells whether a leader is running, and when it is done.
func (q *queue[V]) busy() (done <-chan struct{}, yes bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.rested, q.leading
}

// close refuses further requests and waits until the present ones are
// answered.
func (q *queue[V]) close() {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	if done, yes := q.busy(); yes {
		<-done
	}
}
