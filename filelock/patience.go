package filelock

import (
	"context"
	"errors"
	"time"
)

// queuePatience is how long an acquisition waits at the turnstile. It is well
// above a round of short holds among many processes, and bounds what a process
// that is stopped inside the turnstile costs the others: once each, see errStuck.
const queuePatience = time.Second

const (
	// firstLook is when a wait at the turnstile first looks at the lock; each
	// further pause is twice as long, and none is longer than half of the time
	// that is left.
	firstLook = 50 * time.Millisecond

	// secondLook comes after a look that found the lock free. The holder of the
	// turnstile may have been about to take it: a process that was handed the lock
	// runs a moment later.
	secondLook = 2 * time.Millisecond
)

// patience bounds the wait at the turnstile of the lock at path. Its holder is
// asleep on the lock; if the lock is free all the same, that process is stopped,
// and who has little time must not wait for it.
type patience struct {
	path string

	timer *time.Timer // of the next look; nil before the wait has begun
	pause time.Duration
	free  bool // the last look found the lock free
}

// next returns the channel that says when to look. It is nil, and never does, if
// patience is endless.
func (p *patience) next(ctx context.Context) <-chan time.Time {
	if p == nil {
		return nil
	}
	if p.timer == nil {
		p.pause = firstLook
		p.timer = time.NewTimer(p.within(ctx, p.pause))
	}
	return p.timer.C
}

func (p *patience) within(ctx context.Context, d time.Duration) time.Duration {
	if end, ok := ctx.Deadline(); ok {
		d = min(d, max(time.Until(end)/2, time.Millisecond))
	}
	return d
}

// lost looks and tells whether to wait no longer.
func (p *patience) lost(ctx context.Context) bool {
	free := lockIsFree(p.path)
	if free && p.free || stoppedHolder(p.path+queueSuffix) {
		return true
	}
	p.free = free
	d := secondLook
	if !free {
		p.pause *= 2
		d = p.pause
	}
	p.timer.Reset(p.within(ctx, d))
	return false
}

// lockIsFree tries the lock and lets go at once. It tries exclusively for readers
// too: with readers inside, the turnstile's holder may be a writer that rightly
// waits for them. Any outcome but a taken lock, such as a missing file, is for the
// acquisition to meet.
func lockIsFree(path string) bool {
	fl, err := waits.try(path, exclusive)
	if err == nil {
		_ = waits.release(path, fl)
	}
	return !errors.Is(err, errGaveUp)
}

func stoppedHolder(path string) bool {
	h, ok := FlockHolder(path)
	return ok && h.Alive == Stopped
}
