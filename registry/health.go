package registry

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/machreg/machreg/internal/page"
)

// HealthError lists what is wrong with a handle. It unwraps to every cause.
type HealthError struct{ Problems []Problem }

// Problem is one thing that is wrong.
type Problem struct {
	// Part is what is affected: "file" (it cannot be read: reads serve the
	// last good revision and writes are refused; or, matching ErrStaleMount, it is
	// not the present one), "writes" (a write would be refused, or the last one
	// was), "locks" (some processes may not see them, so that writes can get lost),
	// "latest" (Latest is slower), "changes" (changes arrive later) or "closed". A
	// read-only handle has no "writes" and no "locks".
	Part  string
	Since time.Time
	Err   error
}

func (e *HealthError) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = fmt.Sprintf("%s: %v", p.Part, p.Err)
	}
	return strings.Join(lines, "; ")
}

// Unwrap returns the causes.
func (e *HealthError) Unwrap() []error {
	causes := make([]error, len(e.Problems))
	for i, p := range e.Problems {
		causes[i] = p.Err
	}
	return causes
}

// Health returns nil if everything works as the options ask, and otherwise a
// *HealthError. It reports what is known, and does no I/O: with [RefreshNever]
// that is as of the last refresh. Where the file cannot be written for a reason
// that only a try shows, such as permissions, it says so once a write has failed,
// until one succeeds; [Probe] tries.
func (r *Registry[V]) Health() error {
	st := r.store.Status()
	var problems []Problem
	add := func(part string, since time.Time, err error) {
		if err != nil {
			problems = append(problems, Problem{part, since, err})
		}
	}
	add("file", st.TroubleSince, st.Trouble)
	problems = append(problems, st.Problems...)
	add("latest", st.Latest.Since, st.Latest.Err)
	add("changes", st.Changes.Since, st.Changes.Err)
	if r.closing.Err() != nil {
		add("closed", time.Time{}, ErrClosed)
	}
	if problems == nil {
		return nil
	}
	return &HealthError{problems}
}

// condition is something that is wrong, and since when.
type condition struct {
	mu    sync.Mutex
	last  error     // guarded by mu
	since time.Time // guarded by mu; zero while last is nil
}

func (c *condition) swap(err error) (since time.Time, last error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	last, since = c.last, c.since
	if c.last = err; err == nil {
		c.since = time.Time{}
	} else if last == nil {
		c.since = time.Now()
	}
	return since, last
}

func (c *condition) get() (since time.Time, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.since, c.last
}

func (c *condition) is() bool {
	_, err := c.get()
	return err != nil
}

// differs reports whether there is an error to tell of that is not the one before.
func differs(err, before error) bool {
	return err != nil && (before == nil || before.Error() != err.Error())
}

// troubleLog remembers the outcome of the last refresh.
type troubleLog struct{ condition }

func (t *troubleLog) note(err error, log *slog.Logger) {
	since, last := t.swap(err)
	switch {
	case err == nil && last != nil:
		log.Info("the registry file can be read again", "after", time.Since(since).Round(time.Millisecond))
	case differs(err, last):
		log.Error("the registry file cannot be read; serving the last good revision", "error", err)
	}
}

// survey notes what can be told of the place without a try. It is a few system
// calls.
func (s *fileStore[V]) survey() {
	var stale, refused, locks error
	for _, o := range s.site.Load().place().survey(&s.opts) {
		switch {
		case errors.Is(o, ErrStaleMount):
			stale = o
		case o.Level == LevelRefused && refused == nil:
			refused = o
		case o.Check == "file system":
			locks = o
		}
	}
	if _, last := s.stale.swap(stale); differs(stale, last) {
		s.log.Error("the registry file is not the present one", "error", stale)
	}
	if _, last := s.locks.swap(locks); differs(locks, last) {
		s.log.Warn("some processes may not see the locks of this registry", "error", locks)
	}
	if refused != nil {
		s.failed.swap(nil) // the survey knows more: it sees the end of it too
	}
	if _, last := s.refused.swap(refused); differs(refused, last) {
		s.log.Warn("the registry cannot be written here", "error", refused)
	}
}

// explain adds to an error what to do about it, if that is known.
func (s *fileStore[V]) explain(what string, err error) error {
	if o := s.site.Load().place().obstacle(err); o != nil {
		return fmt.Errorf("%s %q: %w", what, s.path, o)
	}
	return err
}

// noteRefusal explains why a write failed, and remembers what will refuse the
// next one as well.
func (s *fileStore[V]) noteRefusal(err error) error {
	o := s.site.Load().place().obstacle(err)
	if o == nil {
		return err
	}
	if !s.refused.is() {
		s.failed.swap(o)
	}
	return fmt.Errorf("write registry file %q: %w", s.path, o)
}

// Status implements [Store].
func (s *fileStore[V]) Status() StoreStatus {
	st := StoreStatus{
		Latest:   s.latestMode(),
		Changes:  s.watcher.Mode(),
		Restarts: s.counts.restarts.Load(),
		Loads:    s.counts.loads.Load(),
		Skips:    s.counts.skips.Load(),
		Failures: s.counts.failures.Load(),
		Parsed:   s.counts.parsed.Load(),
		LockWait: time.Duration(s.counts.lockWaits.Load()),
	}
	if s.opts.Refresh == RefreshNever {
		st.Changes.Name = ModeNever
	}
	st.TroubleSince, st.Trouble = s.trouble.get()
	for _, part := range []struct {
		name string
		*condition
	}{{"file", &s.stale}, {"writes", &s.refused}, {"writes", &s.failed}, {"locks", &s.locks}} {
		if since, err := part.get(); err != nil {
			st.Problems = append(st.Problems, Problem{part.name, since, err})
		}
	}
	return st
}

// latestMode tells page from stamps. A page that nobody made yet, or that this
// system cannot have, is nothing wrong.
func (s *fileStore[V]) latestMode() Mode {
	if s.opts.Page == PageOff {
		return Mode{Name: ModeStamp}
	}
	since, err := s.site.Load().page.State()
	switch {
	case err == nil:
		return Mode{Name: ModePage, Since: since}
	case errors.Is(err, page.ErrUnsupported), errors.Is(err, page.ErrAbsent) && !s.site.Load().page.Had():
		return Mode{Name: ModeStamp, Since: since}
	}
	return Mode{Name: ModeStamp, Since: since, Err: err}
}
