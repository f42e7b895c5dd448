package proptest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/machreg/machreg/proptest/baseline"
	"github.com/machreg/machreg/registry"
)

// Baseline is the reference implementation of package baseline as a subject.
// opts may be nil.
func Baseline(opts *baseline.Options) New {
	return func(dir string) (Subject, error) {
		r := &reference{path: filepath.Join(dir, FileName)}
		r.Registry = baseline.New(r.path, opts)
		return r, r.Load()
	}
}

type reference struct {
	*baseline.Registry
	path string
}

func (r *reference) Get(name string) (registry.Machine, error) {
	m, err := r.Registry.Get(name)
	if err != nil {
		return registry.Machine{}, translate(err)
	}
	return registry.Machine(*m), nil
}

func (r *reference) List() []registry.Machine {
	live := r.Registry.List()
	list := make([]registry.Machine, len(live))
	for i, m := range live {
		list[i] = registry.Machine(*m)
	}
	return list
}

func (r *reference) Add(m registry.Machine) error {
	b := baseline.Machine(m)
	return translate(r.Registry.Add(&b))
}

func (r *reference) Remove(name string) error { return translate(r.Registry.Remove(name)) }
func (r *reference) Refresh() error           { return r.Load() }

// BreakSaves puts a directory where the temporary file would go.
func (r *reference) BreakSaves() (mend func(), err error) {
	temp := r.path + ".tmp"
	if err := os.Mkdir(temp, 0o755); err != nil {
		return nil, err
	}
	return func() { os.Remove(temp) }, nil
}

// translate gives an error of the baseline the meaning it has here.
func translate(err error) error {
	for theirs, ours := range map[error]error{
		baseline.ErrNotFound: registry.ErrNotFound,
		baseline.ErrInvalid:  registry.ErrInvalid,
		baseline.ErrBuiltin:  registry.ErrBuiltin,
	} {
		if errors.Is(err, theirs) {
			return fmt.Errorf("%w: %w", ours, err)
		}
	}
	return err
}
