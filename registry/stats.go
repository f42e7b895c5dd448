package registry

import (
	"sync/atomic"
	"time"
)

// Stats is what a handle has done since it was opened, and the state it is in.
type Stats struct {
	Revision    Revision
	Entries     int
	Quarantined int

	Commits      uint64        // file updates by this handle
	Writes       uint64        // writes applied by them
	Unchanged    uint64        // writes that changed nothing, and cost no file update
	Refused      uint64        // writes refused: conflict, exists, not found
	Failed       uint64        // writes whose commit failed
	LargestGroup int           // most writes in one commit
	Restarts     uint64        // commits started over because something wrote without the lock
	LockWait     time.Duration // spent waiting for the lock, in all

	Loads    uint64 // refreshes that read the file
	Skips    uint64 // refreshes that found it unchanged
	Failures uint64 // refreshes that failed
	Parsed   uint64 // entries decoded by loads; the others kept their bytes

	Latest       Mode  // how Latest knows: ModePage or ModeStamp
	Changes      Mode  // how changes arrive: ModeWatch, ModePoll or ModeNever
	Trouble      error // why the file cannot be read now, or nil
	TroubleSince time.Time
}

// Mode is which of several ways is in force, since when, and why not a better
// one.
type Mode struct {
	Name  string
	Since time.Time // zero if it has been so since Open
	Err   error     // nil if there is nothing wrong with it
}

// The modes there are.
const (
	ModePage  = "page"  // Latest asks the revision page
	ModeStamp = "stamp" // Latest compares the file's stamp
	ModeWatch = "watch" // the operating system reports changes
	ModePoll  = "poll"  // the file is looked at every PollInterval
	ModeNever = "never" // nothing is looked at unasked
)

// StoreStatus is a store's part of Stats and Health.
type StoreStatus struct {
	Latest, Changes                          Mode
	Trouble                                  error
	TroubleSince                             time.Time
	Problems                                 []Problem // what else Health is to report
	Restarts, Loads, Skips, Failures, Parsed uint64
	LockWait                                 time.Duration
}

// counters are the registry's own; all atomic.
type counters struct {
	commits, writes, unchanged, refused, failed atomic.Uint64
	largest                                     atomic.Int64
}

// count notes one commit, or one attempt at it.
func (g *group[V]) count(committed bool) {
	c := &g.registry.counts
	var refused uint64
	for _, w := range g.requests {
		if w.res.err != nil {
			refused++
		}
	}
	n := uint64(len(g.requests))
	switch applied := uint64(g.applied); {
	case !committed:
		c.failed.Add(n)
		return
	case applied > 0:
		c.commits.Add(1)
		c.writes.Add(applied)
		c.largest.Store(max(c.largest.Load(), int64(applied))) // one leader at a time
		fallthrough
	default:
		c.refused.Add(refused)
		c.unchanged.Add(n - applied - refused)
	}
}

// storeCounts are the file store's; all atomic.
type storeCounts struct {
	restarts, loads, skips, failures, parsed atomic.Uint64
	lockWaits                                atomic.Int64
}

// Stats returns the counters and modes of this handle. It does no I/O.
func (r *Registry[V]) Stats() Stats {
	snap, st := r.current.Load(), r.store.Status()
	return Stats{
		Revision:     snap.Revision(),
		Entries:      snap.Len(),
		Quarantined:  snap.QuarantineLen(),
		Commits:      r.counts.commits.Load(),
		Writes:       r.counts.writes.Load(),
		Unchanged:    r.counts.unchanged.Load(),
		Refused:      r.counts.refused.Load(),
		Failed:       r.counts.failed.Load(),
		LargestGroup: int(r.counts.largest.Load()),
		Restarts:     st.Restarts,
		LockWait:     st.LockWait,
		Loads:        st.Loads,
		Skips:        st.Skips,
		Failures:     st.Failures,
		Parsed:       st.Parsed,
		Latest:       st.Latest,
		Changes:      st.Changes,
		Trouble:      st.Trouble,
		TroubleSince: st.TroubleSince,
	}
}
