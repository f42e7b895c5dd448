// Package lap measures several contenders in turns, so that whatever slows the
// machine down for a while slows all of them down.
package lap

import (
	"fmt"
	"math"
	"runtime"
	"slices"
)

// Contender is one thing to measure.
type Contender struct {
	Name string
	// Lap does some work and returns what one operation cost, in any unit that
	// is the same for all contenders and lower for the better.
	Lap func() (float64, error)
}

// Series holds what each lap of one contender cost, round by round.
type Series []float64

// Race runs rounds of one lap for each contender, every other round in reverse
// order, after one round that does not count. The laps of one round are close
// together in time, so they are comparable even if the rounds are not.
func Race(rounds int, contenders []Contender) (map[string]Series, error) {
	out := make(map[string]Series, len(contenders))
	for round := range rounds + 1 {
		for i := range contenders {
			if round%2 == 1 {
				i = len(contenders) - 1 - i
			}
			c := contenders[i]
			// Nobody pays for the garbage of the one before.
			runtime.GC()
			cost, err := c.Lap()
			if err != nil {
				return nil, fmt.Errorf("%s: %w", c.Name, err)
			}
			if round > 0 {
				out[c.Name] = append(out[c.Name], cost)
			}
		}
	}
	return out, nil
}

// Median is the middle of the laps; NaN if there are none.
func (s Series) Median() float64 { return Quantile(s, 0.5) }

// Over is the median of the ratios of s to base, each taken within one round.
func (s Series) Over(base Series) float64 {
	n := min(len(s), len(base))
	ratios := make([]float64, n)
	for i := range n {
		ratios[i] = s[i] / base[i]
	}
	return Quantile(ratios, 0.5)
}

// Quantile returns the q-th quantile of values, interpolated; NaN if there are
// none. It leaves values as they are.
func Quantile(values []float64, q float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(values))
	at := q * float64(len(sorted)-1)
	low := int(at)
	if low+1 == len(sorted) {
		return sorted[low]
	}
	part := at - float64(low)
	return sorted[low]*(1-part) + sorted[low+1]*part
}
