package measure

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/machreg/machreg/cmd/bench/internal/fleet"
	"github.com/machreg/machreg/cmd/bench/internal/lap"
	"github.com/machreg/machreg/cmd/bench/internal/peer"
	"github.com/machreg/machreg/cmd/bench/internal/report"
	"github.com/machreg/machreg/registry"
)

// Transactions measures one that reads two machines and writes one, durably;
// what it costs to be refused, which is a lock, a look at the file and no
// write; and one that another handle overtakes once. In the last, the other's
// commit is part of the cost.
func (b *Bench) Transactions() error {
	for _, n := range b.Sizes {
		if n > groupLargest {
			continue
		}
		if err := b.transactions(n); err != nil {
			return err
		}
	}
	return nil
}

const (
	refusedStore   = peer.Machreg + " refused"
	overtakenStore = peer.Machreg + " overtaken once"
)

func (b *Bench) transactions(n int) (err error) {
	var contenders []lap.Contender
	var closers []func() error
	defer func() { err = errors.Join(err, closeAll(closers)) }()
	for _, k := range b.kinds(adder) {
		s, closer, err := b.open(k, n, peer.Options{Writers: 1})
		if err != nil {
			return err
		}
		closers = append(closers, closer)
		count := 0
		if f, ok := s.(*peer.Bottom); ok {
			contenders = append(contenders, timedLap(k.Name, n, func() error { return f.Add(fleet.Machine{}) }))
		}
		t, ok := s.(peer.Transactor)
		if !ok {
			continue
		}
		contenders = append(contenders, timedLap(k.Name, n, func() error {
			count++
			second := fleet.Name(count % n)
			return t.Transact(fleet.Name((count+n/2)%n), second, func(fleet.Machine) fleet.Machine {
				return fleet.Named(second, count)
			})
		}))
		if r, ok := s.(peer.Registry); ok {
			conflicts, closeOther, err := b.conflicts(r, n)
			if err != nil {
				return err
			}
			closers = append(closers, closeOther)
			contenders = append(contenders, conflicts...)
		}
	}
	_, err = b.race(report.Shape{Measure: "tx", Size: n, Processes: 1, Goroutines: 1}, contenders)
	return err
}

func timedLap(name string, n int, do func() error) lap.Contender {
	return lap.Contender{Name: name, Lap: func() (float64, error) {
		return median(addsInLap(n), func() (time.Duration, error) {
			start := time.Now()
			err := do()
			return time.Since(start), err
		})
	}}
}

// conflicts makes the contenders that a second handle gets in the way of.
func (b *Bench) conflicts(r peer.Registry, n int) ([]lap.Contender, func() error, error) {
	other, err := registry.OpenMachines(r.Path, &registry.Options{MaxSize: peer.MaxFile, Refresh: registry.RefreshNever})
	if err != nil {
		return nil, nil, err
	}
	ctx := context.Background()
	generation := 1_000_000
	overtake := func(name string) error {
		generation++
		_, err := other.Add(ctx, fleet.Named(name, generation))
		return err
	}
	refused := lap.Contender{Name: refusedStore, Lap: func() (float64, error) {
		return median(addsInLap(n), func() (time.Duration, error) {
			generation++
			name := fleet.Name(generation % n)
			tx := r.Begin()
			if _, err := tx.Get(name); err != nil {
				return 0, err
			}
			if err := tx.Put(name, fleet.Named(name, generation)); err != nil {
				return 0, err
			}
			if err := overtake(name); err != nil {
				return 0, err
			}
			start := time.Now()
			_, err := tx.Commit(ctx)
			took := time.Since(start)
			if !errors.Is(err, registry.ErrConflict) {
				return 0, fmt.Errorf("commit of an overtaken transaction: %v, want a conflict", err)
			}
			return took, nil
		})
	}}
	overtaken := timedLap(overtakenStore, n, func() error {
		generation++
		name, tries := fleet.Name(generation%n), 0
		_, err := r.Update(ctx, func(tx *registry.Tx[fleet.Machine]) error {
			tries++
			if _, err := tx.Get(name); err != nil {
				return err
			}
			if tries == 1 {
				if err := overtake(name); err != nil {
					return err
				}
			}
			return tx.Put(name, fleet.Named(name, generation))
		})
		if err == nil && tries != 2 {
			err = fmt.Errorf("the transaction ran %d times, want 2", tries)
		}
		return err
	})
	return []lap.Contender{refused, overtaken}, other.Close, nil
}
