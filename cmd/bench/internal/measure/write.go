package measure

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/machreg/machreg/cmd/bench/internal/fleet"
	"github.com/machreg/machreg/cmd/bench/internal/lap"
	"github.com/machreg/machreg/cmd/bench/internal/peer"
	"github.com/machreg/machreg/cmd/bench/internal/report"
)

func adder(k peer.Kind) bool {
	return k.Name != "memdb" && k.Name != "bbolt-raw" && k.Name != "lmdb-raw"
}

// Adds measures one goroutine that rewrites one machine after another, each
// write acknowledged when it is durable (the baseline: when it is renamed).
func (b *Bench) Adds() error {
	for _, n := range b.Sizes {
		if err := b.adds(n); err != nil {
			return err
		}
	}
	return nil
}

func (b *Bench) adds(n int) (err error) {
	var contenders []lap.Contender
	var closers []func() error
	defer func() { err = errors.Join(err, closeAll(closers)) }()
	for _, k := range b.kinds(adder) {
		s, closer, err := b.open(k, n, peer.Options{Writers: 1})
		if err != nil {
			return err
		}
		closers = append(closers, closer)
		a, ok := s.(peer.Adder)
		if !ok {
			continue
		}
		count := 0
		contenders = append(contenders, lap.Contender{Name: k.Name, Lap: func() (float64, error) {
			return median(addsInLap(n), func() (time.Duration, error) {
				count++
				m := fleet.Named(fleet.Name(count*7919%n), count)
				start := time.Now()
				err := a.Add(m)
				return time.Since(start), err
			})
		}})
	}
	_, err = b.race(report.Shape{Measure: "add", Size: n, Processes: 1, Goroutines: 1}, contenders)
	return err
}

// addsInLap keeps a lap short against the drift of the machine.
func addsInLap(n int) int {
	if n <= 10_000 {
		return 3
	}
	return 1
}

// median is that of some operations: a single sync that the disk puts off does
// not decide a lap.
func median(ops int, do func() (time.Duration, error)) (float64, error) {
	var took lap.Series
	for range ops {
		d, err := do()
		if err != nil {
			return 0, err
		}
		took = append(took, float64(d))
	}
	return took.Median(), nil
}

// groupLargest and its like keep the runs finite: the baseline needs seconds
// for one write at a million machines.
const groupLargest = 100_000

// Groups measures goroutines of one process that add at the same time; the
// cost is wall-clock time a write.
func (b *Bench) Groups() error {
	goroutines := b.Goroutines
	if len(goroutines) == 0 {
		goroutines = []int{8, 64}
	}
	for _, n := range b.Sizes {
		if n > groupLargest {
			continue
		}
		for _, g := range goroutines {
			if err := b.group(n, g); err != nil {
				return err
			}
		}
	}
	return nil
}

func (b *Bench) group(n, g int) (err error) {
	var contenders []lap.Contender
	var closers []func() error
	defer func() { err = errors.Join(err, closeAll(closers)) }()
	var machreg peer.Registry
	for _, k := range b.kinds(adder) {
		s, closer, err := b.open(k, n, peer.Options{Writers: g})
		if err != nil {
			return err
		}
		closers = append(closers, closer)
		a, ok := s.(peer.Adder)
		if !ok {
			continue
		}
		if r, ok := s.(peer.Registry); ok {
			machreg = r
		}
		count := new(atomic.Int64)
		contenders = append(contenders, lap.Contender{Name: k.Name, Lap: func() (float64, error) {
			return addFor(b.Slice, g, func() error {
				i := int(count.Add(1))
				return a.Add(fleet.Named(fleet.Name(i%n), i))
			})
		}})
	}
	rows, err := b.race(report.Shape{Measure: "group", Size: n, Processes: 1, Goroutines: g}, contenders)
	if err != nil {
		return err
	}
	for _, row := range rows {
		if row.Store == peer.Machreg {
			st := machreg.Stats()
			row.Detail("writes/commit", float64(st.Writes)/float64(st.Commits))
			row.Detail("largest group", float64(st.LargestGroup))
		}
	}
	return nil
}

// addFor adds from g goroutines for d and returns the wall-clock time a write.
// Each goroutine makes at least one.
func addFor(d time.Duration, g int, add func() error) (float64, error) {
	var total atomic.Int64
	var failed atomic.Pointer[error]
	var wg sync.WaitGroup
	start := time.Now()
	for range g {
		wg.Go(func() {
			for first := true; first || time.Since(start) < d && failed.Load() == nil; first = false {
				if err := add(); err != nil {
					err = fmt.Errorf("add: %w", err)
					failed.Store(&err)
					return
				}
				total.Add(1)
			}
		})
	}
	wg.Wait()
	if err := failed.Load(); err != nil {
		return 0, *err
	}
	return float64(time.Since(start)) / float64(total.Load()), nil
}
