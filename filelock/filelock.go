// Package filelock lets one writer at a time, or any number of readers, into a
// critical section shared by processes, by means of an operating system lock
// on a file (flock or LockFileEx, through gofrs/flock).
//
// Guarantees:
//
//  1. Between exclusive holders of one path there is at most one at a time,
//     whether they are goroutines or processes, and also when the lock file is
//     removed under the rule of [Held.UnlockAndRemove] meanwhile.
//  2. A waiter sleeps in the kernel until the lock is handed over; it does not
//     poll. Waiters of different processes take turns. A waiter whose turn does
//     not come wakes a few times to see whether the next in turn is stopped.
//  3. Every wait ends: with the lock, with the context, or with the timeout.
//     The error names the holder, as far as it is known.
//  4. A process that dies gives up its locks at that moment, whatever killed it.
//     One that is stopped (SIGSTOP) keeps the locks that it holds. If it was
//     stopped while it waited, it keeps no other process out of a free lock: it
//     costs each of them about 50 ms once, or half of the timeout if that is
//     shorter.
//  5. Between goroutines, an unlock is ordered before the next acquisition also
//     for the Go memory model, so a lock can guard memory too.
//  6. Nothing is followed out of the lock directory: a lock directory or lock
//     file that is a symbolic link or that anybody may replace is refused with
//     [ErrUnsafe].
//
// It does not guarantee that a holder survives somebody else deleting the lock
// file by hand: [Held.Verify] notices that, and a careful holder asks it before
// the step that cannot be taken back. It steals no lock, however long the holder
// has been stopped. While the next in turn is stopped, an attempt that does not
// wait, such as [Lock.TryLock], can fail because a waiter tries the lock at that
// instant; and on systems other than Linux, readers that could join the readers
// inside wait for a second first. On a network file system it is as good as that
// system's flock.
//
// Three files belong to a lock at path P: P itself, P.queue (the turnstile,
// for fairness only) and P.holder (who holds it, for messages only). They are
// created readable and writable as far as the umask allows, or as
// [Options].Like says. A lock file that may only be read can be locked all the
// same, except on network file systems.
//
// Linux, macOS, the BSDs, illumos and Windows are supported. AIX and Solaris
// build on gofrs/flock's emulation with record locks, where the holders within
// one process exclude each other even for reading. Elsewhere acquiring reports
// [errors.ErrUnsupported].
package filelock

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"
)

// DefaultTimeout is how long an acquisition waits when [Options] does not say.
const DefaultTimeout = 30 * time.Second

// NoWait as a timeout makes an acquisition fail at once if the lock is taken.
const NoWait time.Duration = -1

const (
	queueSuffix  = ".queue"
	holderSuffix = ".holder"
)

// Options adjusts a [Lock]. The zero value, like nil, is the default.
type Options struct {
	// Timeout bounds each acquisition; 0 means DefaultTimeout, a negative value
	// such as NoWait means not to wait at all.
	Timeout time.Duration

	// Program is what a holder is called in the errors of those that wait for
	// it; empty means the base name of os.Args[0].
	Program string

	// Base, if not empty, is a directory that no acquisition makes. A missing lock
	// directory is made only below it: if Base itself is missing, or the lock
	// directory is missing and elsewhere, the error matches [os.ErrNotExist]. Empty
	// means that all missing parents of the lock directory are made.
	Base string

	// Like, if not empty, is the directory of the data that the lock is for. What
	// an acquisition makes is for those who may write there: it gets that
	// directory's group and permission bits and, if root makes it, its owner, as
	// far as the system allows. Empty leaves all that to the umask.
	Like string
}

// Lock is a named place to lock. It holds nothing itself: each acquisition
// returns its own [Held], so one Lock can be shared by all goroutines, which
// exclude each other exactly as processes do.
type Lock struct {
	path    string // absolute if the working directory could be told
	dir     string
	base    string // as dir; or empty
	like    string // as dir; or empty
	timeout time.Duration
	program string

	checkedDir atomic.Pointer[os.FileInfo] // the directory whose ancestors were last found safe
	closed     atomic.Bool
}

// New returns the lock at path. It creates nothing on disk; the lock directory,
// which is path's parent, is created by the first acquisition. Relative paths
// are resolved against the working directory now.
func New(path string, opts *Options) *Lock {
	if opts == nil {
		opts = &Options{}
	}
	path = absolute(path)
	l := &Lock{
		path:    path,
		dir:     filepath.Dir(path),
		timeout: opts.Timeout,
		program: opts.Program,
	}
	if opts.Base != "" {
		l.base = absolute(opts.Base)
	}
	if opts.Like != "" {
		l.like = absolute(opts.Like)
	}
	if l.timeout == 0 {
		l.timeout = DefaultTimeout
	}
	if l.program == "" {
		l.program = defaultProgram()
	}
	return l
}

func absolute(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return filepath.Clean(path)
}

var defaultProgram = sync.OnceValue(func() string {
	if len(os.Args) == 0 || os.Args[0] == "" {
		return "unknown program"
	}
	return filepath.Base(os.Args[0])
})

// Path returns the absolute path of the lock file.
func (l *Lock) Path() string { return l.path }

// Lock acquires the lock exclusively. It waits until no other acquisition of
// the same path, shared or exclusive, in this or another process, holds it, but
// not longer than ctx and Options.Timeout allow; it then returns a
// [*TimeoutError]. It creates the lock directory if that is missing (see
// Options.Base), and returns an error matching [ErrUnsafe] if the directory or a
// lock file cannot be trusted, and one matching [os.ErrClosed] after [Lock.Close].
func (l *Lock) Lock(ctx context.Context) (*Held, error) {
	return l.acquire(ctx, exclusive, l.timeout)
}

// RLock acquires the lock shared: other shared holders are let in, exclusive
// ones are not. It waits and fails as [Lock.Lock] does.
func (l *Lock) RLock(ctx context.Context) (*Held, error) {
	return l.acquire(ctx, shared, l.timeout)
}

// LockTimeout is [Lock.Lock] with a timeout of exactly d instead of the
// configured one. A d that is zero or negative does not wait, so that what is
// left of a deadline can be passed as it is.
func (l *Lock) LockTimeout(ctx context.Context, d time.Duration) (*Held, error) {
	return l.acquire(ctx, exclusive, d)
}

// RLockTimeout is [Lock.RLock] with a timeout of exactly d, as in
// [Lock.LockTimeout].
func (l *Lock) RLockTimeout(ctx context.Context, d time.Duration) (*Held, error) {
	return l.acquire(ctx, shared, d)
}

// TryLock acquires the lock exclusively if it is free now, and otherwise
// returns a [*TimeoutError] at once.
func (l *Lock) TryLock() (*Held, error) {
	return l.acquire(context.Background(), exclusive, NoWait)
}

// WithWriteLock runs fn while the lock at path is held exclusively, waiting at
// most [DefaultTimeout] for it, and returns fn's error joined with the one of
// the release. The lock is released also if fn panics. fn must not acquire the
// same path again: it would wait for itself.
func WithWriteLock(ctx context.Context, path string, fn func() error) error {
	return with(ctx, New(path, nil).Lock, fn)
}

// WithReadLock is [WithWriteLock] with the lock held shared.
func WithReadLock(ctx context.Context, path string, fn func() error) error {
	return with(ctx, New(path, nil).RLock, fn)
}
