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
	// last good revision and writes are refused), "latest" (Latest is slower),
	// "changes" (changes arrive later) or "closed".
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
// that is as of the last refresh.
func (r *Registry[V]) Health() error {
	st := r.store.Status()
	var problems []Problem
	add := func(part string, since time.Time, err error) {
		if err != nil {
			problems = append(problems, Problem{part, since, err})
		}
	}
	add("file", st.TroubleSince, st.Trouble)
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

// troubleLog remembers the outcome of the last refresh.
type troubleLog struct {
	mu    sync.Mutex
	last  error     // guarded by mu
	since time.Time // guarded by mu; zero while last is nil
}

func (t *troubleLog) note(err error, log *slog.Logger) {
	since, last := t.swap(err)
	switch {
	case err == nil && last != nil:
		log.Info("the registry file can be read again", "after", time.Since(since).Round(time.Millisecond))
	case err != nil && (last == nil || last.Error() != err.Error()):
		log.Error("the registry file cannot be read; serving the last good revision", "error", err)
	}
}

func (t *troubleLog) swap(err error) (since time.Time, last error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	last, since = t.last, t.since
	if t.last = err; err == nil {
		t.since = time.Time{}
	} else if last == nil {
		t.since = time.Now()
	}
	return since, last
}

func (t *troubleLog) get() (since time.Time, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.since, t.last
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
