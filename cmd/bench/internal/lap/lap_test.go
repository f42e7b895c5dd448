package lap_test

import (
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/machreg/machreg/cmd/bench/internal/lap"
)

func TestRaceTakesTurns(t *testing.T) {
	var order []string
	contender := func(name string, cost float64) lap.Contender {
		return lap.Contender{Name: name, Lap: func() (float64, error) {
			order = append(order, name)
			return cost, nil
		}}
	}
	got, err := lap.Race(2, []lap.Contender{contender("a", 1), contender("b", 3)})
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"a", "b", "b", "a", "a", "b"}; !slices.Equal(order, want) {
		t.Errorf("order = %v, want %v", order, want)
	}
	if len(got["a"]) != 2 || got["b"].Over(got["a"]) != 3 {
		t.Errorf("series = %v, want two laps each, b three times a", got)
	}
}

func TestRaceReportsWhoFailed(t *testing.T) {
	broken := errors.New("broken")
	_, err := lap.Race(1, []lap.Contender{{Name: "a", Lap: func() (float64, error) { return 0, broken }}})
	if !errors.Is(err, broken) || err.Error() != "a: broken" {
		t.Errorf("err = %v", err)
	}
}

func TestQuantile(t *testing.T) {
	for q, want := range map[float64]float64{0: 1, 0.5: 2.5, 1: 4} {
		if got := lap.Quantile([]float64{4, 1, 3, 2}, q); got != want {
			t.Errorf("Quantile(%v) = %v, want %v", q, got, want)
		}
	}
	if got := lap.Quantile(nil, 0.5); !math.IsNaN(got) {
		t.Errorf("Quantile of nothing = %v", got)
	}
}

func TestHistogramAgreesWithSorting(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	var whole, half lap.Histogram
	var all []float64
	for i := range 20_000 {
		d := time.Duration(math.Exp(rnd.Float64() * 25))
		all = append(all, float64(d))
		if i%2 == 0 {
			whole.Add(d)
		} else {
			half.Add(d)
		}
	}
	whole.Merge(&half)
	if whole.Total() != uint64(len(all)) || float64(whole.Max()) != slices.Max(all) {
		t.Errorf("total %d, max %v", whole.Total(), whole.Max())
	}
	for _, q := range []float64{0, 0.1, 0.5, 0.9, 0.99, 0.999} {
		got, want := float64(whole.Quantile(q)), lap.Quantile(all, q)
		if math.Abs(got-want) > 1+0.03*want {
			t.Errorf("Quantile(%v) = %v, want %v", q, got, want)
		}
	}
}
