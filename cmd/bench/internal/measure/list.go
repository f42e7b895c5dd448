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

// Lists measures copying and visiting everything; the cost is of one whole
// pass, with several goroutines the wall-clock time of all their passes
// divided by how many there were.
func (b *Bench) Lists() error {
	for _, n := range b.Sizes {
		if err := b.lists(n); err != nil {
			return err
		}
	}
	return nil
}

func (b *Bench) lists(n int) (err error) {
	type open struct {
		name  string
		store peer.Lister
	}
	var stores []open
	var closers []func() error
	defer func() { err = errors.Join(err, closeAll(closers)) }()
	for _, k := range b.kinds(func(k peer.Kind) bool { return k.Name != peer.BaselineLocked && k.Name != "bbolt-raw" }) {
		s, closer, err := b.open(k, n, peer.Options{})
		if err != nil {
			return err
		}
		closers = append(closers, closer)
		if l, ok := s.(peer.Lister); ok {
			stores = append(stores, open{k.Name, l})
		}
	}
	passes := []struct {
		measure string
		pass    func(peer.Lister) (int, error)
	}{
		{"list", peer.Lister.List},
		{"range", rangeOnce},
	}
	for _, p := range passes {
		for _, g := range b.parallelism() {
			var contenders []lap.Contender
			for _, s := range stores {
				contenders = append(contenders, lap.Contender{Name: s.name, Lap: func() (float64, error) {
					return passFor(b.Slice, g, n, func() (int, error) { return p.pass(s.store) })
				}})
			}
			if _, err := b.race(report.Shape{Measure: p.measure, Size: n, Goroutines: g}, contenders); err != nil {
				return err
			}
		}
	}
	return nil
}

func rangeOnce(l peer.Lister) (int, error) {
	n := 0
	err := l.Range(func(m *fleet.Machine) bool {
		if m.Name != "" {
			n++
		}
		return true
	})
	return n, err
}

// passFor makes passes with g goroutines for d, at least one each.
func passFor(d time.Duration, g, n int, pass func() (int, error)) (float64, error) {
	var total atomic.Int64
	var failed atomic.Pointer[error]
	var wg sync.WaitGroup
	start := time.Now()
	for range g {
		wg.Go(func() {
			for first := true; first || time.Since(start) < d; first = false {
				got, err := pass()
				if err == nil && got != n && got != n+1 { // with or without the local machine
					err = fmt.Errorf("%d machines, want %d", got, n)
				}
				if err != nil {
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
