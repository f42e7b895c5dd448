package measure

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/machreg/machreg/cmd/bench/internal/fleet"
	"github.com/machreg/machreg/cmd/bench/internal/lap"
	"github.com/machreg/machreg/cmd/bench/internal/peer"
	"github.com/machreg/machreg/cmd/bench/internal/report"
	"github.com/machreg/machreg/registry"
)

// chunk is how many reads are made between two looks at the clock. It does a
// whole pass over part of the names and returns how many reads were right.
type chunk func(names []string) (right int, err error)

// The loops of the contenders that take nanoseconds are written out: a call
// through an interface would be a tenth of what is measured. Looking at the
// type keeps the value from being optimised away.

func getChunk(s peer.Store) chunk {
	switch s := s.(type) {
	case peer.Registry:
		return func(names []string) (right int, err error) {
			for _, name := range names {
				if m, err := s.MachineRegistry.Get(name); err == nil && m.Type == registry.TypeSSH {
					right++
				}
			}
			return right, nil
		}
	case *peer.Bottom:
		return func(names []string) (right int, err error) {
			for _, name := range names {
				if m, err := s.Get(name); err == nil && m.Type == registry.TypeSSH {
					right++
				}
			}
			return right, nil
		}
	case peer.Old:
		return func(names []string) (right int, err error) {
			for _, name := range names {
				if m, err := s.Registry.Get(name); err == nil && m.Type == registry.TypeSSH {
					right++
				}
			}
			return right, nil
		}
	}
	return func(names []string) (right int, err error) {
		for _, name := range names {
			m, err := s.Get(name)
			if err != nil {
				return right, err
			}
			if m.Type == registry.TypeSSH {
				right++
			}
		}
		return right, nil
	}
}

func latestChunk(r peer.Registry) chunk {
	ctx := context.Background()
	return func(names []string) (right int, err error) {
		for _, name := range names {
			snap, err := r.Latest(ctx)
			if err != nil {
				return right, err
			}
			if m, ok := snap.Get(name); ok && m.Type == registry.TypeSSH {
				right++
			}
		}
		return right, nil
	}
}

var errWrongValue = errors.New("a read returned something else than was stored")

// readFor reads with g goroutines for d, and returns the wall-clock time an
// operation.
func readFor(d time.Duration, g int, names []string, fast bool, do chunk) (float64, error) {
	step := 16
	if fast {
		step = 512
	}
	step = min(step, len(names))
	var total atomic.Int64
	var failed atomic.Pointer[error]
	var wg sync.WaitGroup
	start := time.Now()
	for i := range g {
		wg.Go(func() {
			at := i * len(names) / g
			n := 0
			for time.Since(start) < d {
				if at+step > len(names) {
					at = 0
				}
				right, err := do(names[at : at+step])
				if err == nil && right != step {
					err = errWrongValue
				}
				if err != nil {
					failed.Store(&err)
					return
				}
				at += step
				n += step
			}
			total.Add(int64(n))
		})
	}
	wg.Wait()
	if err := failed.Load(); err != nil {
		return 0, *err
	}
	return float64(time.Since(start)) / float64(total.Load()), nil
}

// parallelism lists serial and all cores, or what was asked for.
func (b *Bench) parallelism() []int {
	if len(b.Goroutines) > 0 {
		return b.Goroutines
	}
	if n := runtime.GOMAXPROCS(0); n > 1 {
		return []int{1, n}
	}
	return []int{1}
}

const latestStore = peer.Machreg + " latest"

// Gets measures reads of single machines with nothing changing.
func (b *Bench) Gets() error {
	for _, n := range b.Sizes {
		if err := b.gets(n); err != nil {
			return err
		}
	}
	return nil
}

func (b *Bench) gets(n int) (err error) {
	names := fleet.Lookups(n)
	type open struct {
		name string
		fast bool
		do   chunk
	}
	var stores []open
	var closers []func() error
	defer func() { err = errors.Join(err, closeAll(closers)) }()
	for _, k := range b.kinds(func(k peer.Kind) bool { return k.Name != peer.BaselineLocked }) {
		s, closer, err := b.open(k, n, peer.Options{})
		if err != nil {
			return err
		}
		closers = append(closers, closer)
		if !strings.HasSuffix(k.Name, "-raw") {
			if err := verify(s, names[:min(len(names), 1000)]); err != nil {
				return fmt.Errorf("%s: %w", k.Name, err)
			}
		}
		fast := is(peer.Machreg, peer.Floor, peer.Baseline, "memdb")(k)
		stores = append(stores, open{k.Name, fast, getChunk(s)})
		if r, ok := s.(peer.Registry); ok {
			if mode := r.Stats().Latest; mode.Name != registry.ModePage {
				b.Progress("Latest compares stamps here: %v", mode.Err)
			}
			stores = append(stores, open{latestStore, true, latestChunk(r)})
		}
	}
	for _, g := range b.parallelism() {
		var contenders []lap.Contender
		for _, s := range stores {
			contenders = append(contenders, lap.Contender{Name: s.name, Lap: func() (float64, error) {
				return readFor(b.Slice, g, names, s.fast, s.do)
			}})
		}
		rows, err := b.race(report.Shape{Measure: "get", Size: n, Goroutines: g}, contenders)
		if err != nil {
			return err
		}
		if g == 1 {
			for i, s := range stores {
				allocs, err := allocations(s.do, names)
				if err != nil {
					return err
				}
				rows[i].Detail("allocs", allocs)
			}
		}
	}
	return nil
}

// allocations is the number of them a read, rounded down as package testing
// does: what a timer allocates now and then is not the read's.
func allocations(do chunk, names []string) (float64, error) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	const reads = 20_000
	part := names[:min(len(names), 512)]
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	done := 0
	for done < reads {
		if _, err := do(part); err != nil {
			return 0, err
		}
		done += len(part)
	}
	runtime.ReadMemStats(&after)
	return float64((after.Mallocs - before.Mallocs) / uint64(done)), nil
}
