package measure

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"time"

	"github.com/machreg/machreg/cmd/bench/internal/child"
	"github.com/machreg/machreg/cmd/bench/internal/fleet"
	"github.com/machreg/machreg/cmd/bench/internal/lap"
	"github.com/machreg/machreg/cmd/bench/internal/peer"
	"github.com/machreg/machreg/cmd/bench/internal/report"
	"github.com/machreg/machreg/registry"
)

// roleCommit adds without pause while it is told to.
const roleCommit = "commit"

type commitSpec struct {
	Store, Dir string
	Size       int
}

// commitOrder starts (true) or stops the adding; the child answers with how
// many adds it has made so far.
type commitOrder struct{ Run bool }

func commitForever(parent *child.Conn) error {
	var spec commitSpec
	if err := parent.Receive(&spec); err != nil {
		return err
	}
	s, k, err := openAdder(spec.Store, spec.Dir, peer.Options{})
	if err != nil {
		return err
	}
	var adds atomic.Int64
	stop := func() error { return nil }
	for {
		if err := parent.Send(adds.Load()); err != nil {
			return err
		}
		var order commitOrder
		err := parent.Receive(&order)
		// Only when the last add is over is the other side really idle.
		if err := errors.Join(stop(), ignoreEOF(err)); err != nil {
			return fmt.Errorf("%s: %w", k.Name, err)
		}
		if err != nil {
			return s.Close()
		}
		stop = func() error { return nil }
		if order.Run {
			stop = start(func() error {
				i := int(adds.Load()) + 1
				if err := s.Add(fleet.Named(fleet.Name(i%spec.Size), i)); err != nil {
					return err
				}
				adds.Add(1)
				return nil
			})
		}
	}
}

// start repeats something until the function that it returns is called, which
// waits for the end.
func start(do func() error) (stop func() error) {
	var stopping atomic.Bool
	ended := make(chan error, 1)
	go func() {
		for !stopping.Load() {
			if err := do(); err != nil {
				ended <- err
				return
			}
		}
		ended <- nil
	}()
	return func() error {
		stopping.Store(true)
		return <-ended
	}
}

func ignoreEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

func openAdder(store, dir string, o peer.Options) (peer.Adder, peer.Kind, error) {
	k, err := peer.Find(store)
	if err != nil {
		return nil, k, err
	}
	s, err := k.Open(dir, o)
	if err != nil {
		return nil, k, err
	}
	a, ok := s.(peer.Adder)
	if !ok {
		return nil, k, errors.Join(fmt.Errorf("%s cannot be written to", k.Name), s.Close())
	}
	return a, k, nil
}

// latencyLargest leaves out the sizes at which one commit takes longer than a
// lap.
const latencyLargest = 100_000

// Latency measures single reads in one goroutine while another process adds to
// the same store without pause, in turns with the same reads while it does
// not. Each read is between two readings of the clock, whose cost is part of
// the figures: the medians are of the clock more than of the read, the tails
// are not.
func (b *Bench) Latency() error {
	for _, n := range b.Sizes {
		if n > latencyLargest {
			continue
		}
		for _, k := range b.kinds(is(peer.Machreg, peer.Floor, peer.Baseline, peer.SQLite, "lmdb")) {
			if err := b.latency(k, n); err != nil {
				return fmt.Errorf("latency of %s: %w", k.Name, err)
			}
		}
	}
	return nil
}

func (b *Bench) latency(k peer.Kind, n int) (err error) {
	shape := report.Shape{Measure: "latency", Size: n, Goroutines: 1}
	b.Progress("%s: %s", shape, k.Name)
	dir, err := b.dir(k, n)
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	s, err := k.Open(dir, peer.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	// The floor's readers are disturbed by a machreg writer on other data: what
	// the machine itself does to a reader next to a committing process.
	writer := k.Name
	if writer == peer.Floor {
		writer = peer.Machreg
	}
	p, err := child.Start(roleCommit, commitSpec{writer, dir, n})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	var adds int64
	if err := p.Receive(&adds); err != nil {
		return err
	}
	names := fleet.Lookups(n)
	var all, quiet lap.Histogram
	var p999busy, p999idle, p50busy lap.Series
	for round := range b.Rounds + 1 {
		if err := p.Ask(commitOrder{Run: false}, &adds); err != nil {
			return err
		}
		idle, err := latencies(b.Slice, s, names)
		if err != nil {
			return err
		}
		if err := p.Ask(commitOrder{Run: true}, &adds); err != nil {
			return err
		}
		busy, err := latencies(b.Slice, s, names)
		if err != nil {
			return err
		}
		if err := p.Ask(commitOrder{Run: false}, &adds); err != nil {
			return err
		}
		if round == 0 {
			continue
		}
		p999busy = append(p999busy, float64(busy.Quantile(0.999)))
		p999idle = append(p999idle, float64(idle.Quantile(0.999)))
		p50busy = append(p50busy, float64(busy.Quantile(0.5)))
		all.Merge(busy)
		quiet.Merge(idle)
	}
	if adds == 0 {
		return errors.New("the other process committed nothing")
	}
	rows := b.Report.Add(shape, "ns", []string{k.Name}, map[string]lap.Series{k.Name: p50busy}, "", "")
	row := rows[0]
	row.Detail("busy/idle p99.9", p999busy.Over(p999idle))
	row.Detail("busy p99.9 ns", p999busy.Median())
	row.Detail("idle p99.9 ns", p999idle.Median())
	row.Detail("busy p99 ns", float64(all.Quantile(0.99)))
	row.Detail("idle p99 ns", float64(quiet.Quantile(0.99)))
	row.Detail("busy max µs", float64(all.Max())/1e3)
	row.Detail("idle max µs", float64(quiet.Max())/1e3)
	row.Detail("commits/s", float64(adds)/(float64(b.Rounds+1)*b.Slice.Seconds()))
	return nil
}

// latencies times single reads for d.
func latencies(d time.Duration, s peer.Store, names []string) (*lap.Histogram, error) {
	var h lap.Histogram
	get := s.Get
	if r, ok := s.(peer.Registry); ok {
		get = r.MachineRegistry.Get
	}
	start := time.Now()
	for i := 0; ; i++ {
		if i == len(names) {
			i = 0
		}
		before := time.Now()
		m, err := get(names[i])
		took := time.Since(before)
		if err != nil {
			return nil, err
		}
		if m.Type != registry.TypeSSH {
			return nil, errWrongValue
		}
		h.Add(took)
		if before.Sub(start) > d {
			return &h, nil
		}
	}
}
