package registry

import (
	"testing"
	"time"
)

// A change that comes alone is followed at once, a stream of them for a tenth
// of the time, and a quiet moment earns the next burst.
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
