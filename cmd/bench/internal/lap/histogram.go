package lap

import (
	"math/bits"
	"time"
)

// Histogram counts durations in buckets whose width is at most 1.6 % of their
// value, without allocating. The zero value is empty. It belongs to one
// goroutine.
type Histogram struct {
	counts [64 << histogramBits]uint64
	total  uint64
	max    time.Duration
}

const histogramBits = 6

// Add counts one duration; a negative one counts as zero.
func (h *Histogram) Add(d time.Duration) {
	d = max(d, 0)
	h.counts[slot(uint64(d))]++
	h.total++
	h.max = max(h.max, d)
}

// slot keeps the highest histogramBits+1 bits of n.
func slot(n uint64) int {
	shift := max(bits.Len64(n)-histogramBits-1, 0)
	return shift<<histogramBits + int(n>>shift)
}

// low is the smallest number in a slot.
func low(slot int) uint64 {
	shift := max(slot>>histogramBits-1, 0)
	return uint64(slot-shift<<histogramBits) << shift
}

// Merge adds what other counted.
func (h *Histogram) Merge(other *Histogram) {
	for i, n := range other.counts {
		h.counts[i] += n
	}
	h.total += other.total
	h.max = max(h.max, other.max)
}

// Total is how many durations were counted.
func (h *Histogram) Total() uint64 { return h.total }

// Max is the longest of them.
func (h *Histogram) Max() time.Duration { return h.max }

// Quantile is the duration that a share q of all did not exceed, to within the
// width of its bucket; 0 if there are none.
func (h *Histogram) Quantile(q float64) time.Duration {
	rank := uint64(q * float64(h.total))
	var seen uint64
	for i, n := range h.counts {
		if seen += n; seen > rank {
			return time.Duration((low(i) + low(i+1)) / 2)
		}
	}
	return h.max
}
