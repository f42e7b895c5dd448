package registry

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A change that comes alone is followed at once, a stream of them for a
// twentieth of the time, and a quiet moment earns the next burst.
func TestPace(t *testing.T) {
	const cost = 5 * time.Millisecond
	begin := time.Now()
	now := begin
	p := newPace(now)
	refresh := func() (waited time.Duration) {
		if waited = p.wait(now); waited > 0 {
			now = now.Add(waited)
		} else {
			waited = 0
		}
		p.spend(now, now.Add(cost))
		now = now.Add(cost)
		return waited
	}
	for i := range 4 {
		if waited := refresh(); waited != 0 {
			t.Errorf("refresh %d of a burst waits for %v", i, waited)
		}
	}
	for range 10 {
		refresh()
	}
	paced := now
	const more = 100
	for range more {
		if refresh() == 0 {
			t.Fatal("a stream of changes is followed without a pause")
		}
	}
	if busy, share := more*cost, now.Sub(paced)/paceShare; busy < share-cost || busy > share+cost {
		t.Errorf("busy for %v of %v, want a part in %d", busy, now.Sub(paced), paceShare)
	}
	// One refresh that was kept from the processor does not blind the handle.
	p.spend(now, now.Add(time.Second))
	now = now.Add(time.Second)
	if waited := refresh(); waited <= 0 || waited > paceMost {
		t.Errorf("after a refresh of a second the next one waits for %v, want at most %v", waited, paceMost)
	}
	now = now.Add(time.Minute)
	if waited := refresh(); waited != 0 {
		t.Errorf("after a quiet minute a refresh waits for %v", waited)
	}
	if p.allowance > paceBurst {
		t.Errorf("a quiet minute earns %v", p.allowance)
	}
}

// Following others waits for a write of this handle that is under way, and for
// the next one if that comes at once, but not for ever.
func TestAwaitWrites(t *testing.T) {
	for _, test := range []struct {
		name   string
		writes []time.Duration // how long each takes; there is hardly a pause between them
		want   time.Duration
	}{
		{"none", nil, 0},
		{"one", []time.Duration{10 * time.Millisecond}, 10*time.Millisecond + writePause},
		{"two", []time.Duration{10 * time.Millisecond, 20 * time.Millisecond}, 30*time.Millisecond + 3*writePause/2},
		{"one that hangs", []time.Duration{time.Hour}, paceMost},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := &Registry[string]{closing: context.Background()}
				begin := func() {
					if lead, err := r.queue.add(&request[string]{}); err != nil || !lead {
						t.Errorf("add() = %v, %v, want to lead", lead, err)
					}
				}
				if len(test.writes) > 0 {
					begin()
				}
				var writer sync.WaitGroup
				writer.Go(func() {
					for i, d := range test.writes {
						if i > 0 {
							time.Sleep(writePause / 2)
							begin()
						}
						time.Sleep(d)
						r.queue.take(0)
						r.queue.next(nil)
					}
				})
				start := time.Now()
				r.awaitWrites()
				if got := time.Since(start); got != test.want {
					t.Errorf("waited for %v, want %v", got, test.want)
				}
				writer.Wait()
			})
		})
	}
}
