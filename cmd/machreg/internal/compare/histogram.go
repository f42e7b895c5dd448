package compare

import (
	"encoding/json"
	"fmt"
	"math"
	"math/bits"
	"time"
)

// Histogram counts durations in buckets whose width grows with them, so that
// every quantile is right within 1/32 of itself. The zero value is empty. It is
// not safe for concurrent use.
type Histogram struct {
	counts [buckets]uint64
	n      uint64
	max    time.Duration
}

// Below fine, each nanosecond has a bucket. Above, each power of two is divided
// into fine/2 of them.
const (
	fineBits = 6
	fine     = 1 << fineBits
	buckets  = fine + (63-fineBits)*fine/2
)

func bucketOf(d time.Duration) int {
	v := uint64(max(d, 0))
	if v < fine {
		return int(v)
	}
	shift := bits.Len64(v) - fineBits
	return shift*fine/2 + int(v>>shift)
}

// middle is the duration in the middle of a bucket.
func middle(i int) time.Duration {
	if i < fine {
		return time.Duration(i)
	}
	shift := i/(fine/2) - 1
	low := uint64(i-shift*fine/2) << shift
	return time.Duration(low + (uint64(1)<<shift)/2)
}

// Add counts one duration; a negative one counts as 0.
func (h *Histogram) Add(d time.Duration) {
	h.counts[bucketOf(d)]++
	h.n++
	h.max = max(h.max, d)
}

// Merge adds what other has counted.
func (h *Histogram) Merge(other *Histogram) {
	for i, c := range other.counts {
		h.counts[i] += c
	}
	h.n += other.n
	h.max = max(h.max, other.max)
}

// Count is how many durations were added.
func (h *Histogram) Count() uint64 { return h.n }

// Max is the longest of them, exactly.
func (h *Histogram) Max() time.Duration { return h.max }

// Quantile is the duration that a share q of all do not exceed; 0 if there are
// none.
func (h *Histogram) Quantile(q float64) time.Duration {
	rank := max(uint64(math.Ceil(q*float64(h.n))), 1)
	var seen uint64
	for i, c := range h.counts {
		if seen += c; seen >= rank {
			return min(middle(i), h.max)
		}
	}
	return h.max
}

// histogramJSON is a Histogram between processes: pairs of bucket and count.
type histogramJSON struct {
	Max    time.Duration `json:"max"`
	Counts [][2]uint64   `json:"counts,omitempty"`
}

// MarshalJSON implements [json.Marshaler].
func (h *Histogram) MarshalJSON() ([]byte, error) {
	out := histogramJSON{Max: h.max}
	for i, c := range h.counts {
		if c > 0 {
			out.Counts = append(out.Counts, [2]uint64{uint64(i), c})
		}
	}
	return json.Marshal(out)
}

// UnmarshalJSON implements [json.Unmarshaler].
func (h *Histogram) UnmarshalJSON(data []byte) error {
	var in histogramJSON
	if err := json.Unmarshal(data, &in); err != nil {
		return err
	}
	*h = Histogram{max: in.Max}
	for _, pair := range in.Counts {
		if pair[0] >= buckets {
			return fmt.Errorf("histogram: bucket %d of %d", pair[0], buckets)
		}
		h.counts[pair[0]] += pair[1]
		h.n += pair[1]
	}
	return nil
}
