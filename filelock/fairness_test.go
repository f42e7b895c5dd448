package filelock_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/machreg/machreg/filelock"
)

// long tells whether the tests run at full length.
func long() bool { return os.Getenv("MACHREG_LONG") == "1" }

// share is what one process got of a lock that others want too.
type share struct {
	count             int64
	median, p99, most time.Duration // waits
}

func (s share) String() string {
	return fmt.Sprintf("%d (wait %v, 99%% %v, most %v)", s.count,
		s.median.Round(time.Microsecond), s.p99.Round(time.Microsecond), s.most.Round(time.Microsecond))
}

// compete lets one process for each element of works lock the same path as fast
// as it can.
func compete(t testing.TB, turnstile string, d time.Duration, works ...string) []share {
	t.Helper()
	path := filepath.Join(t.TempDir(), "locks", "r.lock")
	var cs []*child
	for _, work := range works {
		c := startChild(t, "compete", path, turnstile, work, d.String())
		c.read("ready")
		cs = append(cs, c)
	}
	for _, c := range cs {
		c.proceed()
	}
	var shares []share
	for _, c := range cs {
		n := c.numbers("competed")
		shares = append(shares, share{n[0], time.Duration(n[1]), time.Duration(n[2]), time.Duration(n[3])})
		c.wait()
	}
	return shares
}

// TestCompetition measures how processes share a lock that all of them want all
// the time, with the turnstile and without. It demands nothing but that nobody
// starves; the figures are for the reader.
func TestCompetition(t *testing.T) {
	if !long() {
		t.Skip("NOT TESTED: a measurement of a minute and more; MACHREG_LONG=1 go test -v -run Competition")
	}
	const d = 5 * time.Second
	all := func(n int, work string) []string { return slices.Repeat([]string{work}, n) }
	for _, works := range [][]string{
		all(2, "compute"), all(4, "compute"), all(8, "compute"),
		all(2, "sync"), all(4, "sync"), all(8, "sync"),
		append(all(3, "read"), "compute"),
	} {
		for _, turnstile := range []string{"off", "on"} {
			t.Run(strings.Join(works, "+")+"/turnstile "+turnstile, func(t *testing.T) {
				for i, s := range compete(t, turnstile, d, works...) {
					t.Logf("%s: %v", works[i], s)
					if turnstile == "on" && s.count < 2 {
						t.Errorf("process %d (%s) got the lock %d times in %v", i, works[i], s.count, d)
					}
				}
			})
		}
	}
}

// TestWaiterGoesNext: who unlocks and locks again comes after the process that
// waited.
func TestWaiterGoesNext(t *testing.T) {
	l := newLock(t, nil)
	for round := range 10 {
		first := mustLock(t, l)
		waiter := startChild(t, "hold", l.Path(), "exclusive", "10s")
		waiter.read("acquiring")
		waiter.awaitBlocked(l.Path())
		mustUnlock(t, first)
		if h, err := l.LockTimeout(t.Context(), 50*time.Millisecond); !errors.Is(err, filelock.ErrTimeout) {
			t.Errorf("round %d: Lock after an unlock, with a waiter = %v, want ErrTimeout, because it is the waiter's", round, err)
			if err == nil {
				mustUnlock(t, h)
			}
		}
		waiter.read("held")
		waiter.wait()
	}
}

// TestReadersDoNotStarveWriter: a reader that comes after a waiting writer does
// not join the readers inside.
func TestReadersDoNotStarveWriter(t *testing.T) {
	l := newLock(t, nil)
	inside := must[*filelock.Held](t)(l.RLock(t.Context()))
	wrote := make(chan error)
	go func() {
		h, err := l.Lock(t.Context())
		if err == nil {
			err = h.Unlock()
		}
		wrote <- err
	}()
	awaitHelpers(t, l.Path())
	if h, err := l.RLockTimeout(t.Context(), 20*time.Millisecond); !errors.Is(err, filelock.ErrTimeout) {
		t.Errorf("RLock while a writer waits = %v, want ErrTimeout", err)
		if err == nil {
			h.Unlock()
		}
	}
	mustUnlock(t, inside)
	if err := <-wrote; err != nil {
		t.Fatal(err)
	}
}

// BenchmarkLock is the cost of an acquisition that nobody contends.
func BenchmarkLock(b *testing.B) {
	l := newLock(b, nil)
	for b.Loop() {
		mustUnlock(b, mustLock(b, l))
	}
}
