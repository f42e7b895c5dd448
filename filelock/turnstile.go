package filelock

import (
	"context"
	"errors"
	"io/fs"
	"sync/atomic"

	"github.com/gofrs/flock"
)

// turnstileOff lets a measurement show what the turnstile is good for.
var turnstileOff atomic.Bool

// A turnstile gives processes their turn. The kernel wakes the first waiter of a
// lock, but a process that runs already can take the lock before the woken one
// does, and a stream of readers that overlap can keep a writer out for good.
// Therefore everybody passes a second lock first and keeps it while waiting for
// the lock itself:
//
//  1. A holds the lock and B the turnstile, waiting for the lock; C waits at the
//     turnstile.
//  2. A unlocks and wants the lock again. It must pass the turnstile, which is B's.
//  3. B wakes, has the lock, and leaves the turnstile to C; A comes after C.
//
// A process that is stopped at step 2 or 3 keeps the turnstile. So who waits for
// the turnstile looks now and then whether it is held in vain (see patience), and
// then goes round it.
//
// Shared and exclusive acquisitions pass alike. The price is a change of process
// for each hold under contention, which costs up to a third of the acquisitions
// (TestCompetition), for half the longest waits among writers, and less than a
// tenth for a writer among readers. Nothing depends on the turnstile but the order: it is not
// compared with its path, and an acquisition that cannot have it, for whatever
// reason but an unsafe file, does without.
type turnstilePass struct {
	path string
	fl   *flock.Flock // nil: went around it
}

// enterTurnstile returns errGaveUp if ctx ended meanwhile and the lock is taken.
func (l *Lock) enterTurnstile(ctx context.Context) (turnstilePass, error) {
	if turnstileOff.Load() {
		return turnstilePass{}, nil
	}
	queue := l.path + queueSuffix
	p := &patience{path: l.path}
	fl, err := waits.wait(ctx, queue, exclusive, p)
	if errors.Is(err, fs.ErrNotExist) && l.makeFile(queue) == nil {
		fl, err = waits.wait(ctx, queue, exclusive, p)
	}
	switch {
	case errors.Is(err, errGaveUp) && errors.Is(ctx.Err(), context.DeadlineExceeded) && lockIsFree(l.path):
		// There is no time left to be sure that the turnstile is held in vain, but
		// a free lock is no reason to fail.
		return turnstilePass{}, nil
	case errors.Is(err, errGaveUp), errors.Is(err, ErrUnsafe):
		return turnstilePass{}, err
	case err != nil:
		return turnstilePass{}, nil
	}
	pass := turnstilePass{queue, fl}
	info, err := fl.Stat()
	if err != nil {
		return pass, nil
	}
	if err := checkRegular(queue, info); err != nil {
		pass.leave()
		return turnstilePass{}, err
	}
	return pass, nil
}

// leave lets the next one in. If that fails, the others lose patience with the
// turnstile, no more.
func (p turnstilePass) leave() {
	if p.fl != nil {
		_ = waits.release(p.path, p.fl)
	}
}
