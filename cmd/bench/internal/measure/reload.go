package measure

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/machreg/machreg/cmd/bench/internal/fleet"
	"github.com/machreg/machreg/cmd/bench/internal/lap"
	"github.com/machreg/machreg/cmd/bench/internal/peer"
	"github.com/machreg/machreg/cmd/bench/internal/report"
	"github.com/machreg/machreg/registry"
)

// jsonStore is the contender that reads the file and decodes all of it, as a
// program without a registry would. It does not wait for a lock.
const jsonStore = "encoding/json"

// fileForm is the registry file, as encoding/json sees it.
type fileForm struct {
	Machines map[string]fleet.Machine `json:"machines"`
}

func decodeFile(path string, atLeast int) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var f fileForm
	if err := json.Unmarshal(data, &f); err != nil {
		return err
	}
	if len(f.Machines) < atLeast {
		return fmt.Errorf("%d machines, want %d", len(f.Machines), atLeast)
	}
	return nil
}

// Reloads measures a handle that is told to look at the file after another
// handle has changed one machine, or one in a hundred. The floor reads the
// file and compares its bytes with those it had.
func (b *Bench) Reloads() error {
	for _, n := range b.Sizes {
		if err := b.reload(n, 1, "reload one"); err != nil {
			return err
		}
		if n >= 1000 {
			if err := b.reload(n, n/100, "reload 1%"); err != nil {
				return err
			}
		}
	}
	return nil
}

func (b *Bench) reload(n, changes int, measure string) (err error) {
	k, err := peer.Find(peer.Machreg)
	if err != nil {
		return err
	}
	dir, err := b.dir(k, n)
	if err != nil {
		return err
	}
	defer removeAfter(dir, &err)
	quiet := registry.Options{MaxSize: peer.MaxFile, Sync: registry.SyncNone, Refresh: registry.RefreshNever}
	writer, err := peer.OpenMachreg(dir, &quiet)
	if err != nil {
		return err
	}
	reader, err := peer.OpenMachreg(dir, &quiet)
	if err != nil {
		return errors.Join(err, writer.Close())
	}
	defer func() { err = errors.Join(err, reader.Close(), writer.Close()) }()
	path := peer.MachregPath(dir)
	old, err := openOld(b, dir)
	if err != nil {
		return err
	}
	generation := 0
	change := func() error {
		generation++
		_, err := writer.Update(context.Background(), func(tx *registry.Tx[fleet.Machine]) error {
			for i := range changes {
				m := fleet.Named(fleet.Name((i*97+generation)%n), generation)
				if err := tx.Put(m.Name, m); err != nil {
					return err
				}
			}
			return nil
		})
		return err
	}
	// timed lets a contender see the present file, changes it, and times what
	// it does about that.
	timed := func(name string, see, reload func() error) lap.Contender {
		return lap.Contender{Name: name, Lap: func() (float64, error) {
			if err := errors.Join(see(), change()); err != nil {
				return 0, err
			}
			start := time.Now()
			err := reload()
			return float64(time.Since(start)), err
		}}
	}
	blind := func() error { return nil }
	refresh := func() error { return reader.Refresh(context.Background()) }
	var parsed, loads uint64
	var held []byte
	contenders := []lap.Contender{
		timed(peer.Machreg, func() error {
			err := refresh()
			st := reader.Stats()
			parsed, loads = parsed-st.Parsed, loads-st.Loads
			return err
		}, func() error {
			err := refresh()
			st := reader.Stats()
			parsed, loads = parsed+st.Parsed, loads+st.Loads
			return err
		}),
		timed(peer.Floor, func() (err error) {
			held, err = os.ReadFile(path)
			return err
		}, func() error {
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			if n := differing(data, held); n == 0 {
				return errors.New("the file did not change")
			}
			return nil
		}),
		timed(jsonStore, blind, func() error { return decodeFile(path, n) }),
	}
	if old != nil {
		contenders = append(contenders, timed(peer.Baseline, blind, old.Load))
	}
	rows, err := b.race(report.Shape{Measure: measure, Size: n}, contenders)
	if err != nil {
		return err
	}
	if loads != uint64(b.Rounds+1) {
		return fmt.Errorf("%d refreshes read the file, want %d", loads, b.Rounds+1)
	}
	rows[0].Detail("decoded/reload", float64(parsed)/float64(loads))
	return nil
}

// differing compares everything, in blocks, as fast as memory allows, and
// returns in how many there is a difference.
func differing(a, b []byte) (n int) {
	const block = 4096
	for i := 0; i < len(a); i += block {
		end := min(i+block, len(a))
		if !bytes.Equal(a[i:end], b[min(i, len(b)):min(end, len(b))]) {
			n++
		}
	}
	return n
}

func openOld(b *Bench, dir string) (*peer.Old, error) {
	if !b.wants(peer.Baseline) {
		return nil, nil
	}
	k, err := peer.Find(peer.Baseline)
	if err != nil {
		return nil, err
	}
	s, err := k.Open(dir, peer.Options{})
	if err != nil {
		return nil, err
	}
	old := s.(peer.Old)
	return &old, nil
}
