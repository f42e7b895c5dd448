package measure

import (
	"fmt"

	"github.com/machreg/machreg/cmd/bench/internal/lap"
	"github.com/machreg/machreg/cmd/bench/internal/peer"
	"github.com/machreg/machreg/cmd/bench/internal/report"
)

// Mixed is the matrix: every size with every share of reads, every number of
// goroutines and of processes. Reads are plain Gets; writes are durable. The
// cost is wall-clock time an operation of any kind. The floor takes part with
// one process, and with several if all they do is read: several that write
// would have to share something.
func (b *Bench) Mixed() error {
	for _, n := range b.Sizes {
		if n > groupLargest {
			continue
		}
		for _, reads := range orDefault(b.Reads, 99) {
			for _, p := range orDefault(b.Processes, 1) {
				for _, g := range orDefault(b.Goroutines, 8) {
					if err := b.mixed(n, reads, p, g); err != nil {
						return err
					}
				}
			}
		}
	}
	return nil
}

func (b *Bench) mixed(n, reads, processes, goroutines int) error {
	fits := func(k peer.Kind) bool {
		switch {
		case k.Name == peer.Floor:
			return processes == 1 || reads == 100
		case k.Name == "memdb":
			return reads == 100
		}
		return adder(k) && (processes == 1 || k.Processes)
	}
	var contenders []lap.Contender
	lost := make(map[string]int)
	for _, k := range b.kinds(fits) {
		contenders = append(contenders, lap.Contender{Name: k.Name, Lap: func() (float64, error) {
			t, err := b.work(k, workSpec{Size: n, Goroutines: goroutines, Reads: reads}, processes)
			if err != nil {
				return 0, err
			}
			if t.operations == 0 {
				return 0, fmt.Errorf("nothing was done; %d errors, the first: %s", t.errors, t.first)
			}
			if k.Name != peer.Floor {
				lost[k.Name] += t.lost
			}
			return float64(t.wall) / float64(t.operations), nil
		}})
	}
	shape := report.Shape{Measure: "mixed", Size: n, Processes: processes, Goroutines: goroutines, Reads: float64(reads)}
	rows, err := b.race(shape, contenders)
	for _, row := range rows {
		if reads < 100 {
			row.Detail("lost", float64(lost[row.Store]))
		}
	}
	return err
}
