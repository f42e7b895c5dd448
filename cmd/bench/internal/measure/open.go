package measure

import (
	"errors"
	"os"
	"time"

	"github.com/machreg/machreg/cmd/bench/internal/lap"
	"github.com/machreg/machreg/cmd/bench/internal/peer"
	"github.com/machreg/machreg/cmd/bench/internal/report"
)

// Opens measures how long it takes until the first machine can be read. The
// floor reads the file and nothing else.
func (b *Bench) Opens() error {
	for _, n := range b.Sizes {
		if err := b.opens(n); err != nil {
			return err
		}
	}
	return nil
}

func (b *Bench) opens(n int) (err error) {
	var contenders []lap.Contender
	var dirs []string
	defer func() {
		for _, dir := range dirs {
			err = errors.Join(err, os.RemoveAll(dir))
		}
	}()
	add := func(name string, k peer.Kind, open func(dir string) error) error {
		dir, err := b.dir(k, n)
		if err != nil {
			return err
		}
		dirs = append(dirs, dir)
		contenders = append(contenders, lap.Contender{Name: name, Lap: func() (float64, error) {
			// An open of a small registry is over before the clock is warm.
			return median(max(1, 1000/n), func() (time.Duration, error) {
				start := time.Now()
				err := open(dir)
				return time.Since(start), err
			})
		}})
		return nil
	}
	machreg, err := peer.Find(peer.Machreg)
	if err != nil {
		return err
	}
	for _, k := range b.kinds(func(k peer.Kind) bool {
		return k.Name != "memdb" && k.Name != "bbolt-raw" && k.Name != "lmdb-raw" && k.Name != peer.BaselineLocked
	}) {
		open := func(dir string) error {
			s, err := k.Open(dir, peer.Options{})
			if err != nil {
				return err
			}
			_, err = s.Get("build-0000000")
			return errors.Join(err, s.Close())
		}
		if k.Name == peer.Floor {
			open = func(dir string) error {
				_, err := os.ReadFile(peer.MachregPath(dir))
				return err
			}
		}
		if err := add(k.Name, k, open); err != nil {
			return err
		}
	}
	if err := add(jsonStore, machreg, func(dir string) error { return decodeFile(peer.MachregPath(dir), n) }); err != nil {
		return err
	}
	_, err = b.race(report.Shape{Measure: "open", Size: n}, contenders)
	return err
}
