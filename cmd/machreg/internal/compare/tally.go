package compare

import (
	"maps"
	"time"
)

// tally is what a worker has measured since the last one it sent.
type tally struct {
	Reads    uint64    `json:"reads"`
	Writes   uint64    `json:"writes"` // acknowledged within the round
	Read     Histogram `json:"read"`   // of those reads that were timed
	Write    Histogram `json:"write"`
	Samples  []sample  `json:"samples,omitempty"`
	Mixed    uint64    `json:"mixed,omitempty"` // reads of what no write made
	Timeouts uint64    `json:"timeouts,omitempty"`
	// Failures counts errors by what they say, timeouts left out.
	Failures map[string]uint64 `json:"failures,omitempty"`
	Effort   effort            `json:"effort"`
}

func (t *tally) fail(err error) {
	const most = 20 // kinds
	if t.Failures == nil {
		t.Failures = make(map[string]uint64)
	}
	text := err.Error()
	if _, known := t.Failures[text]; !known && len(t.Failures) >= most {
		text = "others"
	}
	t.Failures[text]++
}

func (t *tally) merge(o *tally) {
	t.Reads += o.Reads
	t.Writes += o.Writes
	t.Read.Merge(&o.Read)
	t.Write.Merge(&o.Write)
	t.Samples = append(t.Samples, o.Samples...)
	t.Mixed += o.Mixed
	t.Timeouts += o.Timeouts
	if t.Failures == nil {
		t.Failures = maps.Clone(o.Failures)
	} else {
		for text, n := range o.Failures {
			t.Failures[text] += n
		}
	}
	t.Effort.Known = t.Effort.Known || o.Effort.Known
	t.Effort.Commits += o.Effort.Commits
	t.Effort.Writes += o.Effort.Writes
	t.Effort.LockWait += o.Effort.LockWait
}

// tallyEvery is how often a worker sends what it has: what a killed one had not
// sent is missing from the rates and latencies.
const tallyEvery = 50 * time.Millisecond
