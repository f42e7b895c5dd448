package filelock_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/machreg/machreg/filelock"
)

// newLock returns a lock in a directory that does not exist yet.
func newLock(t testing.TB, opts *filelock.Options) *filelock.Lock {
	t.Helper()
	return filelock.New(filepath.Join(t.TempDir(), "locks", "r.lock"), opts)
}

func must[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func mustLock(t testing.TB, l *filelock.Lock) *filelock.Held {
	t.Helper()
	return must[*filelock.Held](t)(l.Lock(t.Context()))
}

func mustUnlock(t testing.TB, h *filelock.Held) {
	t.Helper()
	if err := h.Unlock(); err != nil {
		t.Fatal(err)
	}
}

func exists(t testing.TB, path string) bool {
	t.Helper()
	_, err := os.Lstat(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return err == nil
}

func wantFiles(t *testing.T, dir string, want ...string) {
	t.Helper()
	entries := must[[]os.DirEntry](t)(os.ReadDir(dir))
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("files in %s = %q, want %q", dir, got, want)
	}
}

func TestNewCreatesNothing(t *testing.T) {
	l := newLock(t, nil)
	if exists(t, filepath.Dir(l.Path())) {
		t.Error("New created the lock directory")
	}
	if err := l.Close(); err != nil {
		t.Errorf("Close without a lock directory = %v, want nil", err)
	}
	if exists(t, filepath.Dir(l.Path())) {
		t.Error("Close created the lock directory")
	}
}

func TestRelativePathIsResolvedByNew(t *testing.T) {
	dir := must[string](t)(filepath.EvalSymlinks(t.TempDir()))
	t.Chdir(dir)
	l := filelock.New("locks/../locks/r.lock", nil)
	t.Chdir(t.TempDir())
	mustUnlock(t, mustLock(t, l))
	if want := filepath.Join(dir, "locks", "r.lock"); l.Path() != want || !exists(t, want) {
		t.Errorf("Path() = %q, want %q, and the file there", l.Path(), want)
	}
}

func TestExclusionInOneProcess(t *testing.T) {
	l := newLock(t, nil)
	ctx := t.Context()
	type acquire func() (*filelock.Held, error)
	write := acquire(l.TryLock)
	read := acquire(func() (*filelock.Held, error) { return l.RLockTimeout(ctx, filelock.NoWait) })
	for _, tt := range []struct {
		name          string
		first, second acquire
		together      bool
	}{
		{"write write", write, write, false},
		{"write read", write, read, false},
		{"read write", read, write, false},
		{"read read", read, read, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := must[*filelock.Held](t)(tt.first())
			defer h.Unlock()
			h2, err := tt.second()
			if err == nil {
				defer h2.Unlock()
			}
			if (err == nil) != tt.together || err != nil && !errors.Is(err, filelock.ErrTimeout) {
				t.Errorf("second acquisition: %v; want together = %v", err, tt.together)
			}
		})
	}
}

func TestUnlockTwice(t *testing.T) {
	l := newLock(t, nil)
	h := mustLock(t, l)
	mustUnlock(t, h)
	h2 := mustLock(t, l)
	mustUnlock(t, h)
	if err := h.UnlockAndRemove(); err != nil {
		t.Errorf("UnlockAndRemove after Unlock = %v, want nil", err)
	}
	if err := h.Verify(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("Verify after Unlock = %v, want os.ErrClosed", err)
	}
	if err := h2.Verify(); err != nil {
		t.Errorf("second hold after more unlocks of the first: %v", err)
	}
	mustUnlock(t, h2)
	wantFiles(t, filepath.Dir(l.Path()), "r.lock", "r.lock.holder", "r.lock.queue")
}

func TestUnlockAndRemove(t *testing.T) {
	l := newLock(t, nil)
	h := mustLock(t, l)
	if err := h.UnlockAndRemove(); err != nil {
		t.Fatal(err)
	}
	wantFiles(t, filepath.Dir(l.Path()))
	mustUnlock(t, h)
	mustUnlock(t, mustLock(t, l))
}

func TestUnlockAndRemoveRefusesSharedHold(t *testing.T) {
	l := newLock(t, nil)
	h := must[*filelock.Held](t)(l.RLock(t.Context()))
	if err := h.UnlockAndRemove(); err == nil || !strings.Contains(err.Error(), "shared") {
		t.Errorf("UnlockAndRemove of a shared hold = %v, want an error that says so", err)
	}
	if !exists(t, l.Path()) {
		t.Error("a shared holder removed the lock file")
	}
	mustUnlock(t, must[*filelock.Held](t)(l.TryLock()))
}

func TestClose(t *testing.T) {
	l := newLock(t, nil)
	mustUnlock(t, mustLock(t, l))
	for range 2 {
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	wantFiles(t, filepath.Dir(l.Path()))
	if _, err := l.Lock(t.Context()); !errors.Is(err, os.ErrClosed) {
		t.Errorf("Lock after Close = %v, want os.ErrClosed", err)
	}
}

func TestCloseLeavesHeldLock(t *testing.T) {
	l := newLock(t, nil)
	h := mustLock(t, l)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := h.Verify(); err != nil {
		t.Errorf("held lock after Close of its Lock: %v", err)
	}
	mustUnlock(t, h)
}

func TestTimeouts(t *testing.T) {
	path := newLock(t, nil).Path()
	h := mustLock(t, filelock.New(path, &filelock.Options{Program: "machreg apply"}))
	defer h.Unlock()
	l := filelock.New(path, &filelock.Options{Timeout: 20 * time.Millisecond})
	ended, cancel := context.WithCancelCause(t.Context())
	why := errors.New("changed my mind")
	cancel(why)
	late, cancelLate := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancelLate()

	for _, tt := range []struct {
		name      string
		acquire   func() (*filelock.Held, error)
		want      string
		isTimeout bool
		cause     error
	}{
		{"options", func() (*filelock.Held, error) { return l.Lock(t.Context()) }, "timed out after 20ms waiting for lock ", true, nil},
		{"shared", func() (*filelock.Held, error) { return l.RLock(t.Context()) }, "timed out after 20ms waiting for lock ", true, nil},
		{"per call", func() (*filelock.Held, error) { return l.LockTimeout(t.Context(), 10*time.Millisecond) }, "timed out after 10ms waiting for lock ", true, nil},
		{"at once", l.TryLock, "is not free: held by ", true, nil},
		{"no time left", func() (*filelock.Held, error) { return l.LockTimeout(t.Context(), 0) }, "is not free: held by ", true, nil},
		{"cancelled", func() (*filelock.Held, error) { return l.Lock(ended) }, "changed my mind", false, why},
		{"deadline", func() (*filelock.Held, error) { return l.LockTimeout(late, time.Hour) }, "gave up after ", true, context.DeadlineExceeded},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := tt.acquire()
			var timeout *filelock.TimeoutError
			if !errors.As(err, &timeout) {
				t.Fatalf("error = %v, want a *TimeoutError", err)
			}
			if got := errors.Is(err, filelock.ErrTimeout); got != tt.isTimeout {
				t.Errorf("errors.Is(%v, ErrTimeout) = %v, want %v", err, got, tt.isTimeout)
			}
			if !errors.Is(timeout.Err, tt.cause) {
				t.Errorf("cause = %v, want %v", timeout.Err, tt.cause)
			}
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error = %q, want it to contain %q", err, tt.want)
			}
			if timeout.Holder == nil || timeout.Holder.PID != os.Getpid() || timeout.Holder.Program != "machreg apply" ||
				timeout.Holder.Alive != filelock.Running {
				t.Errorf("holder = %+v, want this process, running machreg apply", timeout.Holder)
			}
		})
	}
}

func TestNoWaitOption(t *testing.T) {
	path := newLock(t, nil).Path()
	l := filelock.New(path, &filelock.Options{Timeout: filelock.NoWait})
	h := mustLock(t, l)
	if _, err := l.Lock(t.Context()); !errors.Is(err, filelock.ErrTimeout) {
		t.Errorf("Lock of a held lock without waiting = %v, want ErrTimeout", err)
	}
	mustUnlock(t, h)
	mustUnlock(t, mustLock(t, l))
}

func TestVerifyNoticesForeignRemoval(t *testing.T) {
	for _, tt := range []struct {
		name string
		harm func(path string) error
	}{
		{"file removed", os.Remove},
		{"file replaced", func(path string) error {
			if err := os.Remove(path); err != nil {
				return err
			}
			return os.WriteFile(path, nil, 0o600)
		}},
		{"directory removed", func(path string) error { return os.RemoveAll(filepath.Dir(path)) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			needDeletesOfOpenFiles(t)
			l := newLock(t, nil)
			h := mustLock(t, l)
			if err := h.Verify(); err != nil {
				t.Fatalf("Verify of an untouched lock = %v, want nil", err)
			}
			if err := tt.harm(l.Path()); err != nil {
				t.Fatal(err)
			}
			if err := h.Verify(); !errors.Is(err, filelock.ErrReplaced) {
				t.Errorf("Verify = %v, want ErrReplaced", err)
			}
			there := exists(t, l.Path())
			if err := h.UnlockAndRemove(); !errors.Is(err, filelock.ErrReplaced) {
				t.Errorf("UnlockAndRemove = %v, want ErrReplaced", err)
			}
			if exists(t, l.Path()) != there {
				t.Error("UnlockAndRemove removed somebody else's lock file")
			}
			mustUnlock(t, mustLock(t, l))
		})
	}
}

func TestWithLocks(t *testing.T) {
	path := newLock(t, nil).Path()
	ctx := t.Context()
	mine := errors.New("mine")
	err := filelock.WithWriteLock(ctx, path, func() error {
		if _, err := filelock.New(path, nil).TryLock(); !errors.Is(err, filelock.ErrTimeout) {
			t.Errorf("TryLock within WithWriteLock = %v, want ErrTimeout", err)
		}
		return mine
	})
	if !errors.Is(err, mine) {
		t.Errorf("WithWriteLock = %v, want the error of fn", err)
	}
	err = filelock.WithReadLock(ctx, path, func() error {
		return filelock.WithReadLock(ctx, path, func() error { return nil })
	})
	if err != nil {
		t.Errorf("WithReadLock within WithReadLock = %v, want nil", err)
	}
	func() {
		defer func() { recover() }()
		filelock.WithWriteLock(ctx, path, func() error { panic("fn") })
	}()
	mustUnlock(t, must[*filelock.Held](t)(filelock.New(path, nil).TryLock()))
}
