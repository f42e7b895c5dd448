package filelock

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// ErrTimeout is matched by the error of an acquisition that found no free lock
// within its time, also if that time was none.
var ErrTimeout = errors.New("lock timeout")

// TimeoutError reports an acquisition that was given up. It matches [ErrTimeout]
// unless the context was cancelled, as opposed to having passed its deadline.
type TimeoutError struct {
	Path    string
	Timeout time.Duration // the bound of the acquisition; zero or negative: it did not wait
	Waited  time.Duration // how long it lasted
	Holder  *Holder       // nil if unknown, as shared holders are unless the system shows them
	Err     error         // the context's cause if the context ended, else nil

	cancelled bool
}

// Error says what was waited for, how long, and who holds it.
func (e *TimeoutError) Error() string {
	var b strings.Builder
	switch {
	case e.Err != nil:
		fmt.Fprintf(&b, "gave up after %v waiting for lock %q: %v", roundAge(e.Waited), e.Path, e.Err)
	case e.Timeout <= 0:
		fmt.Fprintf(&b, "lock %q is not free", e.Path)
	default:
		// What is left of a deadline is a little less than a round number.
		fmt.Fprintf(&b, "timed out after %v waiting for lock %q", e.Timeout.Round(time.Millisecond), e.Path)
	}
	if e.Holder != nil {
		fmt.Fprintf(&b, ": held by %v", e.Holder)
	} else {
		b.WriteString(": holder unknown")
	}
	return b.String()
}

// Unwrap returns the context's cause, if the context ended.
func (e *TimeoutError) Unwrap() error { return e.Err }

// Is makes the error match [ErrTimeout].
func (e *TimeoutError) Is(target error) bool { return target == ErrTimeout && !e.cancelled }

func (l *Lock) timedOut(ctx context.Context, start time.Time, limit time.Duration) *TimeoutError {
	e := &TimeoutError{
		Path:      l.path,
		Timeout:   limit,
		Waited:    time.Since(start),
		Err:       context.Cause(ctx),
		cancelled: errors.Is(ctx.Err(), context.Canceled),
	}
	holder, err := l.Holder()
	if err != nil || holder.Alive != Running && holder.Alive != Stopped {
		// A process that was stopped when the kernel had given it the lock has left
		// no record.
		if h, ok := FlockHolder(l.path); ok && (err != nil || !isRecorded(holder, h.PID)) {
			holder, err = h, nil
		}
	}
	if err == nil {
		e.Holder = &holder
	}
	return e
}

// roundAge shortens a duration to what a person wants to know.
func roundAge(d time.Duration) time.Duration {
	if d < time.Second {
		return max(d, 0).Round(time.Millisecond)
	}
	return d.Round(time.Second)
}
