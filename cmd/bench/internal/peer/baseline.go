package peer

import (
	"encoding/json"
	"iter"
	"os"

	"github.com/machreg/machreg/cmd/bench/internal/fleet"
	"github.com/machreg/machreg/proptest/baseline"
)

var (
	baselineKind = Kind{
		Name:      Baseline,
		Processes: true,
		Note:      "two-level locking with the lock as published; syncs nothing, loses updates",
		Open:      openBaseline(baseline.PublishedLock),
		Fill:      fillBaseline,
	}
	lockedKind = Kind{
		Name:      BaselineLocked,
		Processes: true,
		Note:      "the baseline with machreg's file lock; syncs nothing",
		Open:      openBaseline(baseline.CorrectLock),
		Fill:      fillBaseline,
	}
)

// Old is the registry that machreg replaces.
type Old struct{ *baseline.Registry }

func openBaseline(lock baseline.LockKind) func(string, Options) (Store, error) {
	return func(dir string, _ Options) (Store, error) {
		r := baseline.New(MachregPath(dir), &baseline.Options{Lock: lock})
		return Old{r}, r.Load()
	}
}

func fillBaseline(dir string, machines iter.Seq[fleet.Machine]) error {
	all := make(map[string]fleet.Machine)
	for m := range machines {
		all[m.Name] = m
	}
	data, err := json.MarshalIndent(map[string]any{"version": 1, "machines": all}, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(MachregPath(dir), data, 0o644)
}

// Get implements [Store].
func (o Old) Get(name string) (fleet.Machine, error) {
	m, err := o.Registry.Get(name)
	if err != nil {
		return fleet.Machine{}, err
	}
	return fleet.Machine(*m), nil
}

// Add implements [Adder].
func (o Old) Add(m fleet.Machine) error {
	old := baseline.Machine(m)
	return o.Registry.Add(&old)
}

// List implements [Lister].
func (o Old) List() (int, error) { return len(o.Registry.List()), nil }

// Range implements [Lister].
func (o Old) Range(yield func(m *fleet.Machine) bool) error {
	for _, m := range o.Registry.List() {
		value := fleet.Machine(*m)
		if !yield(&value) {
			break
		}
	}
	return nil
}
