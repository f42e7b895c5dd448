package peer

import (
	"context"
	"errors"
	"iter"
	"path/filepath"

	"github.com/machreg/machreg/cmd/bench/internal/fleet"
	"github.com/machreg/machreg/registry"
)

var (
	machregKind = Kind{
		Name:      Machreg,
		Processes: true,
		Open:      openMachreg(registry.RefreshWatch),
		Fill:      fillMachreg,
	}
	unwatchedKind = Kind{
		Name:      Unwatched,
		Variant:   true,
		Processes: true,
		Note:      "machreg with RefreshNever: as with the databases, a process does not follow what others write",
		Open:      openMachreg(registry.RefreshNever),
		Fill:      fillMachreg,
	}
)

func openMachreg(refresh registry.RefreshPolicy) func(string, Options) (Store, error) {
	return func(dir string, o Options) (Store, error) {
		opts := &registry.Options{MaxSize: MaxFile, Refresh: refresh}
		if o.Trace != nil {
			opts.FS = o.Trace
		}
		return OpenMachreg(dir, opts)
	}
}

// MaxFile, the largest registry file, admits a million machines.
const MaxFile = 1 << 30

// MachregPath is where the registry file is in a store's directory.
func MachregPath(dir string) string { return filepath.Join(dir, "machines.json") }

// Registry is the store under test.
type Registry struct {
	*registry.MachineRegistry
	Path string // of the registry file
}

// OpenMachreg opens the store with options of one's own.
func OpenMachreg(dir string, opts *registry.Options) (Registry, error) {
	r, err := registry.OpenMachines(MachregPath(dir), opts)
	return Registry{r, MachregPath(dir)}, err
}

func fillMachreg(dir string, machines iter.Seq[fleet.Machine]) (err error) {
	r, err := OpenMachreg(dir, &registry.Options{MaxSize: MaxFile, Sync: registry.SyncNone, Refresh: registry.RefreshNever})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	_, err = r.Update(context.Background(), func(tx *registry.Tx[fleet.Machine]) error {
		for m := range machines {
			if err := tx.Put(m.Name, m); err != nil {
				return err
			}
		}
		return nil
	})
	return err
}

// Get implements [Store].
func (r Registry) Get(name string) (fleet.Machine, error) { return r.MachineRegistry.Get(name) }

// Add implements [Adder].
func (r Registry) Add(m fleet.Machine) error {
	_, err := r.MachineRegistry.Add(context.Background(), m)
	return err
}

// List implements [Lister].
func (r Registry) List() (int, error) { return len(r.MachineRegistry.List()), nil }

// Range implements [Lister].
func (r Registry) Range(yield func(m *fleet.Machine) bool) error {
	for _, m := range r.All() {
		if !yield(&m) {
			break
		}
	}
	return nil
}

// Transact implements [Transactor].
func (r Registry) Transact(first, second string, next func(fleet.Machine) fleet.Machine) error {
	_, err := r.Update(context.Background(), func(tx *registry.Tx[fleet.Machine]) error {
		if _, err := tx.Get(first); err != nil {
			return err
		}
		m, err := tx.Get(second)
		if err != nil {
			return err
		}
		return tx.Put(second, next(m))
	})
	return err
}
