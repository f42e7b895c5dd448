package compare

import (
	"slices"
	"time"
)

// Report is what came of a run. Durations are in nanoseconds where a name says
// so.
type Report struct {
	Started     time.Time `json:"started"`
	Interrupted bool      `json:"interrupted"`
	Program     string    `json:"program,omitempty"` // version
	Command     string    `json:"command,omitempty"` // repeats the run
	Workload    Workload  `json:"workload"`
	Host        Host      `json:"host"`
	// TimedEvery says that one read in so many is timed by itself, and ClockNS
	// what asking for the time adds to it.
	TimedEvery int      `json:"timed_every"`
	ClockNS    int64    `json:"clock_ns"`
	Results    []Result `json:"results"`
}

// Result is what one contestant did, in all its rounds.
type Result struct {
	Name            string            `json:"name"`
	About           string            `json:"about"`
	Rounds          []Round           `json:"rounds"`
	Seconds         float64           `json:"seconds"`
	Reads           uint64            `json:"reads"`
	ReadsPerSecond  float64           `json:"reads_per_second"`
	WritesPerSecond float64           `json:"writes_per_second"`
	Read            Latency           `json:"read_latency"`
	Write           Latency           `json:"write_latency"`
	Staleness       Staleness         `json:"staleness"`
	Acknowledged    uint64            `json:"acknowledged_writes"`
	Lost            uint64            `json:"acknowledged_writes_lost"`
	Mixed           uint64            `json:"mixed_values"` // that no write made
	UpdatesPerWrite float64           `json:"file_updates_per_write"`
	LockWaitNS      *int64            `json:"lock_wait_ns_per_update,omitempty"` // nil if nobody counted
	LockTimeouts    uint64            `json:"lock_timeouts"`
	Kills           int               `json:"workers_killed"`
	Failures        map[string]uint64 `json:"failures"`
	// Ratios are to the baseline; nil if it took no part or did none.
	ReadRatio  *float64 `json:"reads_to_baseline,omitempty"`
	WriteRatio *float64 `json:"writes_to_baseline,omitempty"`

	tally tally
	stale Histogram
	fresh uint64
}

// Round is one window of a contestant.
type Round struct {
	ReadsPerSecond  float64 `json:"reads_per_second"`
	WritesPerSecond float64 `json:"writes_per_second"`
	Lost            uint64  `json:"acknowledged_writes_lost"`
}

// Latency is a distribution of durations.
type Latency struct {
	Count  uint64 `json:"count"`
	P50NS  int64  `json:"p50_ns"`
	P99NS  int64  `json:"p99_ns"`
	P999NS int64  `json:"p999_ns"`
	MaxNS  int64  `json:"max_ns"`
}

// Staleness is for how long values that were read had been superseded by
// acknowledged writes of other processes.
type Staleness struct {
	Latency
	Fresh uint64 `json:"fresh"` // of Count
}

func latencyOf(h *Histogram) Latency {
	return Latency{h.Count(), int64(h.Quantile(0.5)), int64(h.Quantile(0.99)), int64(h.Quantile(0.999)), int64(h.Max())}
}

func newReport(w Workload, dir string) *Report {
	r := &Report{
		Started: time.Now().UTC().Truncate(time.Second), Workload: w, Host: hostOf(dir),
		TimedEvery: w.timedEvery(), ClockNS: int64(clockCost()),
	}
	for _, name := range w.Contestants {
		c, _ := contestantNamed(name) // the workload was checked
		r.Results = append(r.Results, Result{Name: name, About: c.About, Failures: map[string]uint64{}})
	}
	return r
}

func (r *Report) add(name string, from *roundResult) {
	res := &r.Results[slices.IndexFunc(r.Results, func(res Result) bool { return res.Name == name })]
	seconds := from.elapsed.Seconds()
	res.Seconds += seconds
	res.Rounds = append(res.Rounds, Round{
		perSecond(from.tally.Reads, seconds), perSecond(from.tally.Writes, seconds), from.account.Lost,
	})
	res.tally.merge(&from.tally)
	res.stale.Merge(&from.stale)
	res.fresh += from.fresh
	res.Acknowledged += from.account.Acknowledged
	res.Lost += from.account.Lost
	res.Mixed += from.account.Mixed
	res.Kills += from.kills
}

func perSecond(n uint64, seconds float64) float64 {
	if seconds <= 0 {
		return 0
	}
	return float64(n) / seconds
}

// finish fills in what follows from the rounds.
func (r *Report) finish() *Report {
	r.Interrupted = r.Interrupted || slices.ContainsFunc(r.Results, func(res Result) bool {
		return len(res.Rounds) < r.Workload.Rounds
	})
	for i := range r.Results {
		r.Results[i].finish()
	}
	base := slices.IndexFunc(r.Results, func(res Result) bool { return res.Name == Baseline })
	if base < 0 {
		return r
	}
	for i := range r.Results {
		res, b := &r.Results[i], &r.Results[base]
		res.ReadRatio = ratio(res.ReadsPerSecond, b.ReadsPerSecond)
		res.WriteRatio = ratio(res.WritesPerSecond, b.WritesPerSecond)
	}
	return r
}

func ratio(a, b float64) *float64 {
	if b == 0 {
		return nil
	}
	q := a / b
	return &q
}

func (r *Result) finish() {
	t := &r.tally
	r.Reads = t.Reads
	r.ReadsPerSecond, r.WritesPerSecond = perSecond(t.Reads, r.Seconds), perSecond(t.Writes, r.Seconds)
	r.Read, r.Write = latencyOf(&t.Read), latencyOf(&t.Write)
	r.Staleness = Staleness{latencyOf(&r.stale), r.fresh}
	r.LockTimeouts = t.Timeouts
	for text, n := range t.Failures {
		r.Failures[text] += n
	}
	switch {
	case t.Effort.Writes > 0:
		r.UpdatesPerWrite = float64(t.Effort.Commits) / float64(t.Effort.Writes)
	case !t.Effort.Known && r.Acknowledged > 0:
		r.UpdatesPerWrite = 1 // that is its algorithm
	}
	if t.Effort.Commits > 0 {
		wait := int64(t.Effort.LockWait) / int64(t.Effort.Commits)
		r.LockWaitNS = &wait
	}
}

// FailureCount is how many operations failed, timeouts of the lock included.
func (r *Result) FailureCount() (n uint64) {
	for _, c := range r.Failures {
		n += c
	}
	return n + r.LockTimeouts
}
