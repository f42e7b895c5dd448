package filelock

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync/atomic"
	"time"

	"github.com/gofrs/flock"
)

// Why a lock that was acquired must still be compared with its path, and why
// only a holder that passed this comparison may remove the file.
//
// A lock belongs to an open file, not to a name. Without the comparison:
//
//  1. A opens P (file 1) and locks it.
//  2. B opens P (file 1) and waits.
//  3. A removes P and unlocks file 1, the usual "clean up after yourself".
//  4. B is handed the lock of file 1, which has no name any more.
//  5. C opens P, which creates file 2, and locks it: B and C both "hold" P.
//
// With it, B finds at step 4 that P is not file 1, lets go and starts again at
// step 2 with file 2, where it waits for C. The comparison is not enough if the
// file is removed by somebody who does not hold it:
//
//  1. A closes; it has found P (file 1) free, and means to remove it.
//  2. B locks file 1, compares, and is right: B holds P.
//  3. A removes P. B's comparison was true and is not any more.
//  4. C opens P, which creates file 2, locks it, compares: B and C hold P.
//
// If A removes only while it is itself such a holder, step 2 cannot happen
// between its comparison and its removal: B's comparison either comes before A
// has the lock, and then A does not get it until B is done, or after A's
// removal, and then it fails. From the removal on, C may be inside, so the
// removal is the last thing A does; nothing protected may follow it.

// identityCheckOff disables the comparison, to let a test show that it is
// needed.
var identityCheckOff atomic.Bool

// maxVanished bounds how often in a row the lock directory may disappear
// between its check and the opening of a file in it.
const maxVanished = 100

func (l *Lock) acquire(ctx context.Context, m mode, limit time.Duration) (*Held, error) {
	if l.closed.Load() {
		return nil, fmt.Errorf("lock %q: %w", l.path, os.ErrClosed)
	}
	start := time.Now()
	if ctx.Err() != nil {
		return nil, l.timedOut(ctx, start, limit)
	}
	h, err := l.acquireVerified(ctx, m, limit)
	switch {
	case errors.Is(err, errGaveUp):
		return nil, l.timedOut(ctx, start, limit)
	case err != nil:
		return nil, fmt.Errorf("lock %q: %w", l.path, err)
	}
	h.waited = time.Since(start)
	if m == exclusive {
		if err := h.writeRecord(); err != nil {
			return nil, errors.Join(fmt.Errorf("lock %q: %w", l.path, err), h.Unlock())
		}
	}
	return h, nil
}

// acquireVerified returns a hold without record or waiting time, or errGaveUp.
func (l *Lock) acquireVerified(ctx context.Context, m mode, limit time.Duration) (*Held, error) {
	if err := l.prepareDir(); err != nil {
		return nil, err
	}
	take := func() (*flock.Flock, error) { return waits.try(l.path, m) }
	if limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, limit)
		defer cancel()
		pass, err := l.enterTurnstile(ctx)
		if err != nil {
			return nil, err
		}
		defer pass.leave()
		take = func() (*flock.Flock, error) { return waits.wait(ctx, l.path, m, forever) }
	}
	deletion := deletionWait{}
	for vanished := 0; ; {
		fl, err := take()
		missing := errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) && l.removeUnfinished(l.dir)
		missing = missing && vanished < maxVanished
		if missing || limit > 0 && deletion.mayPass(ctx, err) {
			if missing {
				vanished++
			} else if ctx.Err() != nil {
				return nil, errGaveUp
			}
			if err := l.makeLockFile(); err != nil {
				return nil, err
			}
			continue
		}
		if err != nil {
			return nil, err
		}
		h, err := l.verified(fl, m)
		if h != nil || err != nil {
			return h, err
		}
		// Each failed comparison is a removal by somebody else, who has thereby
		// finished: others make progress, and we go on until our time is up.
		if ctx.Err() != nil {
			return nil, errGaveUp
		}
		if err := l.prepareDir(); err != nil {
			return nil, err
		}
	}
}

// deletionWait is the waiting for another process to be done with deleting the
// lock file. On Windows the file cannot be opened meanwhile.
type deletionWait struct {
	denied time.Time // when opening was first refused for want of permission
	pause  time.Duration
}

const (
	deletionPause     = time.Millisecond
	deletionPauseMost = 50 * time.Millisecond
	// deniedPatience is how long a refusal is taken for a deletion under way:
	// Windows has one code for that and for a lack of permission.
	deniedPatience = time.Second
)

// mayPass reports whether err may be due to a deletion under way, after a pause.
func (d *deletionWait) mayPass(ctx context.Context, err error) bool {
	switch {
	case isBusy(err):
	case isBeingDeleted(err):
		if d.denied.IsZero() {
			d.denied = time.Now()
		}
		if time.Since(d.denied) > deniedPatience {
			return false
		}
	default:
		return false
	}
	d.pause = min(max(2*d.pause, deletionPause), deletionPauseMost)
	select {
	case <-time.After(d.pause):
	case <-ctx.Done():
	}
	return true
}

// verified turns a kernel lock into a hold, or releases it: with an error, or
// with neither hold nor error if the locked file is no longer the one at the path.
func (l *Lock) verified(fl *flock.Flock, m mode) (*Held, error) {
	waits.order()
	info, err := fl.Stat()
	if err == nil {
		err = checkRegular(l.path, info)
	}
	same := false
	if err == nil {
		same, err = isAt(l.path, info)
	}
	if err != nil || !same && !identityCheckOff.Load() {
		return nil, errors.Join(err, waits.release(l.path, fl))
	}
	return &Held{lock: l, mode: m, fl: fl, info: info}, nil
}

// isAt tells whether the file at path is the one info describes. info must come
// from a descriptor that is still open: only that keeps the file's number from
// being given to another file.
func isAt(path string, info os.FileInfo) (bool, error) {
	now, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) || isBeingDeleted(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return os.SameFile(info, now), nil
}

func with(ctx context.Context, acquire func(context.Context) (*Held, error), fn func() error) (err error) {
	h, err := acquire(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.Unlock()) }()
	return fn()
}
