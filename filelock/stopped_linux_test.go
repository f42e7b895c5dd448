package filelock_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/machreg/machreg/filelock"
)

func (c *child) pid() int { return c.cmd.Process.Pid }

// stop returns when all threads of the child have stopped: until then, one that
// waits in the kernel can still be given a lock.
func (c *child) stop() {
	c.t.Helper()
	if err := c.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		c.t.Fatal(err)
	}
	eventually(c.t, "the child to stop", func() bool {
		threads := must[[]string](c.t)(filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", c.pid())))
		for _, thread := range threads {
			if _, state, _ := strings.Cut(string(must[[]byte](c.t)(os.ReadFile(thread))), ") "); !strings.HasPrefix(state, "T ") {
				return false
			}
		}
		return len(threads) > 0
	})
}

// kill returns when the child is gone.
func (c *child) kill() {
	c.t.Helper()
	if err := c.cmd.Process.Kill(); err != nil {
		c.t.Fatal(err)
	}
	c.cmd.Wait()
}

func startWaiter(t testing.TB, path, mode string) *child {
	t.Helper()
	c := startChild(t, "hold", path, mode, "10m")
	c.read("acquiring")
	return c
}

// Each place where a process can be while it acquires a lock, and whether the
// lock is free when a process has been stopped there and all others have left.
var waitingPlaces = []struct {
	name string
	// reach returns the process, and a function that lets all others leave.
	reach func(t *testing.T, l *filelock.Lock, mode string) (waiting *child, leave func())
	free  bool
}{
	{"waits for the lock, holds the turnstile", func(t *testing.T, l *filelock.Lock, mode string) (*child, func()) {
		held := mustLock(t, l)
		c := startWaiter(t, l.Path(), mode)
		c.awaitBlocked(l.Path())
		return c, func() { mustUnlock(t, held) }
	}, true},
	{"waits for the turnstile", func(t *testing.T, l *filelock.Lock, mode string) (*child, func()) {
		held := mustLock(t, l)
		first := startWaiter(t, l.Path(), mode)
		first.awaitBlocked(l.Path())
		c := startWaiter(t, l.Path(), mode)
		c.awaitBlocked(l.Path() + filelock.QueueSuffix)
		return c, func() { first.kill(); mustUnlock(t, held) }
	}, true},
	{"was given the turnstile", func(t *testing.T, l *filelock.Lock, mode string) (*child, func()) {
		mustUnlock(t, mustLock(t, l))
		c := startChild(t, "flock", l.Path()+filelock.QueueSuffix)
		c.read("locked")
		return c, func() {}
	}, true},
	{"was given the lock", func(t *testing.T, l *filelock.Lock, mode string) (*child, func()) {
		mustUnlock(t, mustLock(t, l))
		c := startChild(t, "flock", l.Path()+filelock.QueueSuffix, l.Path())
		c.read("locked")
		return c, func() {}
	}, false},
}

// acquireElsewhere lets a new process acquire the lock, which has nothing in
// common with those before it.
func acquireElsewhere(t testing.TB, path, mode string, timeout time.Duration) error {
	t.Helper()
	c := startChild(t, "hold", path, mode, timeout.String())
	c.read("acquiring")
	line := must[string](t)(c.lines.ReadString('\n'))
	c.wait()
	if strings.HasPrefix(line, "held ") {
		return nil
	}
	return errors.New(strings.TrimSpace(line))
}

// TestStoppedWhileWaiting: a process that was stopped while it acquired the lock
// keeps no other process out of a lock that is free, however little time it has.
func TestStoppedWhileWaiting(t *testing.T) {
	for _, place := range waitingPlaces {
		for _, mode := range []string{"exclusive", "shared"} {
			t.Run(place.name+"/"+mode, func(t *testing.T) {
				l := newLock(t, nil)
				waiting, leave := place.reach(t, l, mode)
				waiting.stop()
				leave()
				if !place.free {
					_, err := l.LockTimeout(t.Context(), 50*time.Millisecond)
					if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("held by pid %d (", waiting.pid())) ||
						!strings.HasSuffix(err.Error(), ", stopped") {
						t.Errorf("Lock = %v, want an error that names pid %d, stopped", err, waiting.pid())
					}
					return
				}
				for _, timeout := range []time.Duration{20 * time.Millisecond, 100 * time.Millisecond, 900 * time.Millisecond} {
					for _, mode := range []string{"exclusive", "shared"} {
						if err := acquireElsewhere(t, l.Path(), mode, timeout); err != nil {
							t.Errorf("%s lock within %v in another process = %v, want nil", mode, timeout, err)
						}
						acquire := l.LockTimeout
						if mode == "shared" {
							acquire = l.RLockTimeout
						}
						ctx, cancel := context.WithTimeout(t.Context(), timeout)
						h, err := acquire(ctx, time.Minute)
						cancel()
						if err != nil {
							t.Errorf("%s lock within %v = %v, want nil", mode, timeout, err)
							continue
						}
						mustUnlock(t, h)
					}
				}
			})
		}
	}
}

// TestKilledWhileWaiting: a process that was killed while it acquired the lock
// is as if it had never been there.
func TestKilledWhileWaiting(t *testing.T) {
	for _, place := range waitingPlaces {
		for _, mode := range []string{"exclusive", "shared"} {
			t.Run(place.name+"/"+mode, func(t *testing.T) {
				l := newLock(t, nil)
				waiting, leave := place.reach(t, l, mode)
				waiting.kill()
				leave()
				mustUnlock(t, must[*filelock.Held](t)(l.TryLock()))
				if err := acquireElsewhere(t, l.Path(), mode, 20*time.Millisecond); err != nil {
					t.Errorf("%s lock in another process = %v, want nil", mode, err)
				}
			})
		}
	}
}

// TestStoppedWriterBesideReaders: a writer that was stopped while it waited for
// readers keeps no other reader out.
func TestStoppedWriterBesideReaders(t *testing.T) {
	l := newLock(t, nil)
	inside := startHolder(t, l.Path(), "shared")
	writer := startWaiter(t, l.Path(), "exclusive")
	writer.awaitBlocked(l.Path())
	writer.stop()
	if err := acquireElsewhere(t, l.Path(), "shared", 900*time.Millisecond); err != nil {
		t.Errorf("shared lock in another process = %v, want nil", err)
	}
	inside.wait()
}

// TestWaitsEndBesideStoppedProcess: every wait for a stopped process ends with
// its context or its timeout.
func TestWaitsEndBesideStoppedProcess(t *testing.T) {
	for _, place := range waitingPlaces {
		t.Run(place.name, func(t *testing.T) {
			l := newLock(t, nil)
			waiting, leave := place.reach(t, l, "exclusive")
			waiting.stop()
			leave()
			if place.free {
				defer mustUnlock(t, mustLock(t, l))
			}
			for _, acquire := range []func(context.Context, time.Duration) (*filelock.Held, error){l.LockTimeout, l.RLockTimeout} {
				const waiters = 4
				errs := make(chan error)
				ctx, cancel := context.WithCancel(t.Context())
				for range waiters {
					go func() {
						_, err := acquire(t.Context(), 20*time.Millisecond)
						errs <- err
					}()
					go func() {
						_, err := acquire(ctx, time.Hour)
						errs <- err
					}()
				}
				for range waiters {
					if err := <-errs; !errors.Is(err, filelock.ErrTimeout) {
						t.Errorf("acquisition with a timeout = %v, want ErrTimeout", err)
					}
				}
				cancel()
				for range waiters {
					if err := <-errs; !errors.Is(err, context.Canceled) {
						t.Errorf("acquisition with a context = %v, want context.Canceled", err)
					}
				}
			}
		})
	}
}
