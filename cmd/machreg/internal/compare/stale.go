package compare

import (
	"sort"
	"time"
)

// sample is one read of a key that another process writes.
type sample struct {
	Key    int    `json:"k"`
	Number uint64 `json:"n"`
	There  bool   `json:"t"`
	At     int64  `json:"a"` // the shared clock before the read
}

// staleness is for how long what was read had been superseded when the read
// began: since the next write of that key was acknowledged. 0 is fresh.
func (h history) staleness(s sample) time.Duration {
	events := h[s.Key]
	if !s.There {
		return supersededBy(events[lastRemoval(events, s.At):], s.At)
	}
	// Number 0 was there from the start.
	next := sort.Search(len(events), func(i int) bool { return events[i].number > s.Number })
	return supersededBy(events[next:], s.At)
}

// lastRemoval is the index after the last removal that can have happened by a
// time. A machine that is absent does not say since which removal; the last one
// makes the reader look best.
func lastRemoval(events []event, at int64) int {
	for i := len(events) - 1; i >= 0; i-- {
		e := events[i]
		// It began after its predecessor had ended.
		if e.verb == remove && e.outcome != failed && (i == 0 || events[i-1].ended <= at) {
			return i + 1
		}
	}
	return len(events)
}

// supersededBy is how long before a time the first of later writes was
// acknowledged.
func supersededBy(later []event, at int64) time.Duration {
	for _, e := range later {
		if e.outcome == acknowledged {
			return time.Duration(max(at-e.ended, 0))
		}
	}
	return 0
}
