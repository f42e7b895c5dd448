package compare_test

import (
	"encoding/json"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/machreg/machreg/cmd/machreg/internal/compare"
)

// TestHistogramQuantiles compares quantiles with those of the sorted values.
func TestHistogramQuantiles(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	var h compare.Histogram
	var all []time.Duration
	for range 20000 {
		// All magnitudes alike, up to hours.
		d := time.Duration(random.Uint64N(1 << (1 + random.UintN(44))))
		h.Add(d)
		all = append(all, d)
	}
	slices.Sort(all)
	for _, q := range []float64{0.0001, 0.1, 0.5, 0.9, 0.99, 0.999, 1} {
		want := all[max(int(q*float64(len(all))), 1)-1]
		got := h.Quantile(q)
		if err := (got - want).Abs(); err > want/32 {
			t.Errorf("Quantile(%v) = %v, want %v within 1/32", q, got, want)
		}
	}
	if h.Count() != 20000 || h.Max() != all[len(all)-1] || h.Quantile(1) > h.Max() {
		t.Errorf("Count, Max, Quantile(1) = %d, %v, %v, want 20000, %v and no more than that", h.Count(), h.Max(), h.Quantile(1), all[len(all)-1])
	}
}

func TestHistogramEnds(t *testing.T) {
	var h compare.Histogram
	if got := h.Quantile(0.5); got != 0 {
		t.Errorf("Quantile of nothing = %v, want 0", got)
	}
	h.Add(-5)
	if got := h.Quantile(1); got != 0 {
		t.Errorf("Quantile(1) of a negative duration = %v, want 0", got)
	}
	h.Add(1<<63 - 1)
	if got := h.Quantile(1); got < 1<<63-1-1<<58 {
		t.Errorf("Quantile(1) of the longest duration = %d", got)
	}
}

func TestHistogramMergeAndJSON(t *testing.T) {
	var a, b, both compare.Histogram
	for i := range time.Duration(1000) {
		d := i * i * i
		both.Add(d)
		if i%3 == 0 {
			a.Add(d)
		} else {
			b.Add(d)
		}
	}
	text, err := json.Marshal(&b)
	if err != nil {
		t.Fatal(err)
	}
	var read compare.Histogram
	if err := json.Unmarshal(text, &read); err != nil {
		t.Fatal(err)
	}
	a.Merge(&read)
	if a != both {
		t.Errorf("two halves, one of them sent as %d bytes, are not the whole", len(text))
	}
	if err := json.Unmarshal([]byte(`{"counts":[[99999,1]]}`), &read); err == nil {
		t.Error("a bucket that does not exist was accepted")
	}
}
