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
// once.
type request[V any] struct {
	// apply adds the write to what is being made, as a whole or, if it returns
	// an error, not at all. It runs in the leader's goroutine, under the lock,
	// and again from the start if the commit has to start over.
	apply    func(*snapshot.Editor[V]) error
	deadline time.Time // until when to wait for the lock
	done     chan answer
	res      answer // as of the last apply
	changed  bool   // as of the last apply
	broken   bool   // apply did not return; it is not called again
}

// answer is what became of a request.
type answer struct {
	revision Revision
	err      error
}

// deliver gives the answer to the writer, in its own goroutine.
func (a answer) deliver() (Revision, error) {
	if brokeOff(a.err) {
		return 0, a.err.(*callerError).deliver()
	}
	return a.revision, a.err
}

// queue holds the writes that wait for a leader, in the order they came.
type queue[V any] struct {
	mu      sync.Mutex
	waiting []*request[V] // guarded by mu
	leading bool          // guarded by mu: a leader is running
	rested  chan struct{} // guarded by mu: closed when that leader is done
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
// the leader has it. Nobody left means that the leader need not wait either.
func (q *queue[V]) withdraw(w *request[V]) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	i := slices.Index(q.waiting, w)
	if i < 0 {
		return false
	}
	q.waiting = slices.Delete(q.waiting, i, i+1)
	if len(q.waiting) == 0 && q.abandon != nil {
		q.abandon()
	}
	return true
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

// take hands up to limit requests to the leader; 0 is all of them.
func (q *queue[V]) take(limit int) []*request[V] {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.abandon = nil
	n := len(q.waiting)
	if limit > 0 {
		n = min(n, limit)
	}
	taken := slices.Clone(q.waiting[:n])
	q.waiting = slices.Delete(q.waiting, 0, n)
	return taken
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
