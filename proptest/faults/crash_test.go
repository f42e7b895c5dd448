package faults_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"

	"github.com/machreg/machreg/internal/vfs/crashfs"
	"github.com/machreg/machreg/registry"
)

// mended turns on the lives in which today's library loses acknowledged writes,
// and the demand that a revision which the page remembers is not handed out
// again in any case.
const mended = true

// allParents turns on the life in which a registry is found, and written to, in
// directories that another program made a moment ago and did not sync.
const allParents = false

func (l life) skipped() bool { return l.broken && !mended || l.found && !allParents }

// recover is what happens when the power is back: one of the states that the
// disk may be in is judged, and then used, with one of the states that the lock
// directory may be in.
func (m *machine) recover(rng *rand.Rand) error {
	disk := m.disk.Crash(rng)
	data, err := contentOf(disk, m.path)
	if err != nil {
		return err
	}
	if err := m.survived(data); err != nil {
		return err
	}
	found := readVersion(data)
	if !found.readable {
		return nil // what was written from outside and not synced
	}
	known, err := m.crashLocks(rng)
	if err != nil {
		return err
	}
	opts := &registry.Options{FS: disk, LockDir: m.lockDir, Refresh: registry.RefreshNever}
	if rng.IntN(2) == 0 {
		opts.Page = registry.PageOff
		if !mended {
			known = 0
		}
	}
	r, err := registry.OpenMachines(m.path, opts)
	if errors.Is(err, registry.ErrCorrupt) && m.outside > m.from {
		return nil // as above; duplicate names, say, are for the library to refuse
	}
	if err != nil {
		return fmt.Errorf("after the crash: %w", err)
	}
	defer r.Close()
	rev, err := r.Add(context.Background(), machineOf("recovered"))
	if err != nil {
		return fmt.Errorf("after the crash: %w", err)
	}
	if known = max(known, found.revision); rev <= known {
		return fmt.Errorf("first write after the crash is revision %d, and the page or the file know of %d", rev, known)
	}
	after, err := disk.ReadFile(m.path)
	if err != nil {
		return err
	}
	want := found.names.clone()
	want["recovered"] = true
	if f, err := parse(after); err != nil || !f.names.equal(want) {
		return fmt.Errorf("first write after the crash: %v, the file holds %v, want %v", err, f.names, want)
	}
	for _, dir := range []string{filepath.Dir(m.path), m.lockDir} {
		left, err := disk.ReadNames(dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		for _, name := range left {
			if strings.HasSuffix(name, ".tmp") {
				return fmt.Errorf("left after the first write: %q, %v", left, err)
			}
		}
	}
	// The power goes again.
	if again, err := contentOf(disk.Crash(rng), m.path); err != nil || string(again) != string(after) {
		return fmt.Errorf("%w: after a second crash the file is %.300q (%v), want %.300q", errLost, again, err, after)
	}
	return nil
}

// orders are in order, so that a seed gives the same run again.
var orders = []struct {
	name  string
	order crashfs.Order
}{{"in order", crashfs.Journal}, {"in any order", crashfs.AnyOrder}}

// TestEveryCrash lets the power go at every operation of every life, and
// recovers from many of the states that the disk may then be in. A test run
// does a share of it, another one each time.
func TestEveryCrash(t *testing.T) {
	rng := random(t)
	lengths := make([]int, len(lives))
	all := 0
	for i, l := range lives {
		var err error
		if lengths[i], err = l.operations(); err != nil {
			t.Fatal(err)
		}
		if !l.skipped() {
			all += (lengths[i] + 1) * len(orders)
		}
	}
	limit := budget(t, budgetCrashes, 4000)
	each := max((limit+all-1)/all, 2)
	points, states := 0, 0
	for i, l := range lives {
		for _, o := range orders {
			t.Run(l.name+"/"+o.name, func(t *testing.T) {
				if l.skipped() {
					t.Skip("known to lose an acknowledged write")
				}
				n := lengths[i] + 1
				picks := share(rng, n, max(n*limit/(each*all), 4))
				for _, k := range picks {
					points++
					err := l.live(k, crashfs.Options{Order: o.order}, nil, func(m *machine) {
						for _, problem := range m.problems {
							t.Errorf("power lost at operation %d: %v", k, problem)
						}
						for range each {
							states++
							if err := m.recover(rng); err != nil {
								t.Fatalf("power lost at operation %d: %v\n%s", k, err, m.disk)
							}
						}
					})
					if err != nil {
						t.Fatal(err)
					}
				}
			})
		}
	}
	t.Logf("%d of %d crash points, %d crash states", points, all, states)
}
