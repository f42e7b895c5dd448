package filelock_test

import (
	"context"
	"errors"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/machreg/machreg/filelock"
)

// eventually waits for a state that is reached without anybody telling.
func eventually(t testing.TB, what string, reached func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !reached(); {
		if time.Now().After(end) {
			t.Fatalf("still waiting for %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}

// awaitHelpers waits until this process has a blocked call for the file at each
// path. Calls for other files do not count: an earlier test may have left some.
func awaitHelpers(t testing.TB, paths ...string) {
	t.Helper()
	for _, path := range paths {
		eventually(t, "a blocked call for "+path, func() bool { return filelock.PendingOn(path) == 1 })
	}
}

// awaitQuiet waits until nothing of the package runs and the goroutines are as
// many as before.
func awaitQuiet(t testing.TB, goroutines int) {
	t.Helper()
	eventually(t, "helpers and goroutines to end", func() bool {
		helpers, slots := filelock.PendingWaits()
		return helpers == 0 && slots == 0 && runtime.NumGoroutine() <= goroutines
	})
}

func TestGivenUpWaits(t *testing.T) {
	for _, mode := range []string{"exclusive", "shared"} {
		t.Run(mode, func(t *testing.T) {
			before := runtime.NumGoroutine()
			l := newLock(t, nil)
			h := mustLock(t, l)
			acquire := l.Lock
			if mode == "shared" {
				acquire = l.RLock
			}
			ctx, cancel := context.WithCancel(t.Context())
			const waiters = 50
			var wg sync.WaitGroup
			for range waiters {
				wg.Go(func() {
					h, err := acquire(ctx)
					if !errors.Is(err, context.Canceled) {
						t.Errorf("waiter: %v, want context.Canceled", err)
					}
					if err == nil {
						h.Unlock()
					}
				})
			}
			// One waits for the lock, one at the turnstile, the others for their turn.
			queue := l.Path() + filelock.QueueSuffix
			awaitHelpers(t, l.Path(), queue)
			cancel()
			wg.Wait()
			for _, path := range []string{l.Path(), queue} {
				if helpers := filelock.PendingOn(path); helpers > 1 {
					t.Errorf("%d helpers for %s left by %d waiters, want at most one", helpers, path, waiters)
				}
			}
			eventually(t, "all goroutines but the helpers to end", func() bool { return runtime.NumGoroutine() <= before+2 })

			next := make(chan *filelock.Held)
			go func() {
				h, err := acquire(t.Context())
				if err != nil {
					t.Error(err)
				}
				next <- h
			}()
			mustUnlock(t, h)
			mustUnlock(t, <-next)
			awaitQuiet(t, before)
			mustUnlock(t, must[*filelock.Held](t)(l.TryLock()))
		})
	}
}

// TestGivenUpWaitDoesNotKeepReadersOut: a writer that gave up, but whose call in
// the kernel goes on, is not in the way of those who could come in.
func TestGivenUpWaitDoesNotKeepReadersOut(t *testing.T) {
	l := newLock(t, nil)
	reader := startHolder(t, l.Path(), "shared")
	if _, err := l.LockTimeout(t.Context(), 10*time.Millisecond); !errors.Is(err, filelock.ErrTimeout) {
		t.Fatalf("Lock = %v, want ErrTimeout", err)
	}
	awaitHelpers(t, l.Path())
	h := must[*filelock.Held](t)(l.RLock(t.Context()))
	mustUnlock(t, h)
	startHolder(t, l.Path(), "shared").wait()
	reader.wait()
	mustUnlock(t, mustLock(t, l))
}

func TestNextAcquirerJoinsHelper(t *testing.T) {
	before := runtime.NumGoroutine()
	l := newLock(t, nil)
	h := mustLock(t, l)
	for range 20 {
		if _, err := l.LockTimeout(t.Context(), time.Millisecond); !errors.Is(err, filelock.ErrTimeout) {
			t.Fatalf("Lock = %v, want ErrTimeout", err)
		}
		if helpers := filelock.PendingOn(l.Path()) + filelock.PendingOn(l.Path()+filelock.QueueSuffix); helpers > 1 {
			t.Fatalf("%d helpers, want at most one", helpers)
		}
	}
	mustUnlock(t, h)
	awaitQuiet(t, before)
}

func TestHelperOnRemovedFileIsNotJoined(t *testing.T) {
	needDeletesOfOpenFiles(t)
	l := newLock(t, nil)
	old := mustLock(t, l)
	if _, err := l.LockTimeout(t.Context(), 10*time.Millisecond); !errors.Is(err, filelock.ErrTimeout) {
		t.Fatalf("Lock = %v, want ErrTimeout", err)
	}
	awaitHelpers(t, l.Path())
	removeAll(t, filepath.Dir(l.Path()))
	// The old file stays locked, and the helper waits for it.
	h := mustLock(t, l)
	if err := h.Verify(); err != nil {
		t.Error(err)
	}
	mustUnlock(t, h)
	mustUnlock(t, old)
}

func TestWaitersMoveToNewFile(t *testing.T) {
	needDeletesOfOpenFiles(t)
	before := runtime.NumGoroutine()
	l := newLock(t, nil)
	h := mustLock(t, l)
	const waiters = 3
	got := make(chan error)
	for range waiters {
		go func() {
			h, err := l.Lock(t.Context())
			if err == nil {
				err = errors.Join(h.Verify(), h.Unlock())
			}
			got <- err
		}()
	}
	awaitHelpers(t, l.Path(), l.Path()+filelock.QueueSuffix)
	removeAll(t, filepath.Dir(l.Path()))
	mustUnlock(t, h)
	for range waiters {
		if err := <-got; err != nil {
			t.Errorf("waiter after the lock directory was removed: %v", err)
		}
	}
	awaitQuiet(t, before)
}

// TestStuckTurnstile: a process that keeps the turnstile delays the others once
// until they find the lock free, or else by their patience, and keeps none out.
func TestStuckTurnstile(t *testing.T) {
	for _, tt := range []struct {
		name    string
		inside  bool // a reader is inside, so that the lock is not free but for readers
		atLeast time.Duration
	}{
		{"lock free", false, filelock.FirstLook},
		{"reader inside", true, filelock.QueuePatience},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before := runtime.NumGoroutine()
			l := newLock(t, nil)
			var reader *child
			if tt.inside {
				reader = startHolder(t, l.Path(), "shared")
			}
			stuck := startHolder(t, l.Path()+filelock.QueueSuffix, "exclusive")
			first := must[*filelock.Held](t)(l.RLock(t.Context()))
			if first.Waited() < tt.atLeast {
				t.Errorf("waited %v with a stuck turnstile, want at least %v", first.Waited(), tt.atLeast)
			}
			mustUnlock(t, first)
			second := must[*filelock.Held](t)(l.RLock(t.Context()))
			t.Logf("waited %v at first, then %v", first.Waited(), second.Waited())
			mustUnlock(t, second)
			stuck.wait()
			if tt.inside {
				reader.wait()
			}
			awaitQuiet(t, before)
		})
	}
}

func TestManyGoroutinesExclude(t *testing.T) {
	l := newLock(t, nil)
	var inside, sum int // guarded by l; the race detector watches
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				h, err := l.Lock(t.Context())
				if err != nil {
					t.Error(err)
					return
				}
				if inside++; inside != 1 {
					t.Errorf("%d goroutines inside", inside)
				}
				sum++
				inside--
				if err := h.Unlock(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if sum != 400 {
		t.Errorf("counted %d, want 400", sum)
	}
}
