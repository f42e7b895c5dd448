package baseline

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"
	"github.com/machreg/machreg/filelock"
)

// locker runs a function under the lock between processes.
type locker interface {
	shared(fn func() error) error
	exclusive(fn func() error) error
	close() error
}

type correctLock struct{ lock *filelock.Lock }

func newCorrectLock(path string, timeout time.Duration) correctLock {
	return correctLock{filelock.New(path, &filelock.Options{Timeout: timeout})}
}

func (l correctLock) shared(fn func() error) error    { return under(l.lock.RLock, fn) }
func (l correctLock) exclusive(fn func() error) error { return under(l.lock.Lock, fn) }
func (l correctLock) close() error                    { return l.lock.Close() }

func under(acquire func(context.Context) (*filelock.Held, error), fn func() error) (err error) {
	h, err := acquire(context.Background())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.Unlock()) }()
	return fn()
}

// publishedLock is wrong, and this is how two processes come to hold it:
//
//  1. A opens P (file 1) and locks it.
//  2. B opens P (file 1); its attempt to lock is still to come.
//  3. A unlocks and removes P.
//  4. B locks file 1, which has no name any more.
//  5. C opens P, which creates file 2, and locks it.
type publishedLock struct {
	path    string
	timeout time.Duration
}

func (l *publishedLock) shared(fn func() error) error {
	return l.with((*flock.Flock).TryRLock, fn)
}

func (l *publishedLock) exclusive(fn func() error) error {
	return l.with((*flock.Flock).TryLock, fn)
}

// close has nothing to do: every unlock has removed the file.
func (l *publishedLock) close() error { return nil }

func (l *publishedLock) with(try func(*flock.Flock) (bool, error), fn func() error) error {
	if err := os.MkdirAll(filepath.Dir(l.path), 0o755); err != nil {
		return err
	}
	start := time.Now()
	for attempt := 1; ; attempt++ {
		fl := flock.New(l.path, flock.SetFlag(os.O_CREATE|os.O_RDWR), flock.SetPermissions(0o644))
		locked, err := try(fl)
		if locked {
			defer func() {
				fl.Unlock()
				// Without asking whether it is still the file that was locked.
				os.Remove(l.path)
			}()
			return fn()
		}
		if left := l.timeout - time.Since(start); left <= 0 {
			return fmt.Errorf("lock %q: %w", l.path, errors.Join(filelock.ErrTimeout, err))
		} else {
			time.Sleep(min(pause(attempt), left))
		}
	}
}

// pause is the published back-off.
func pause(attempt int) time.Duration {
	switch {
	case attempt <= 5:
		return 10 * time.Millisecond
	case attempt <= 10:
		return 50 * time.Millisecond
	}
	return 100 * time.Millisecond
}
