package proptest_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/machreg/machreg/proptest"
	"github.com/machreg/machreg/registry"
)

// memory is somebody else's registry: a map with a mutex.
type memory struct {
	mu       sync.RWMutex
	machines map[string]registry.Machine
}

func (r *memory) Get(name string) (registry.Machine, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if m, there := r.machines[name]; there {
		return m, nil
	}
	return registry.Machine{}, fmt.Errorf("%q: %w", name, registry.ErrNotFound)
}

func (r *memory) List() (all []registry.Machine) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	for _, m := range r.machines {
		all = append(all, m)
	}
	return all
}

func (r *memory) Add(m registry.Machine) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := m.Validate(); err != nil {
		return err
	}
	r.machines[m.Name] = m
	return nil
}

func (r *memory) Remove(name string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if name == registry.LocalName {
		return registry.ErrBuiltin
	}
	if _, there := r.machines[name]; !there {
		return registry.ErrNotFound
	}
	delete(r.machines, name)
	return nil
}

func newMemory(string) (proptest.Subject, error) {
	local := registry.Machine{Name: registry.LocalName, Type: registry.TypeLocal}
	return &memory{machines: map[string]registry.Machine{local.Name: local}}, nil
}

// A test calls Run with a function that makes a subject, and with what the
// subject is not meant to do: List is in no order here.
func ExampleRun() {
	testMemory := func(t *testing.T) {
		proptest.Run(t, newMemory, proptest.Tolerate(proptest.ListOrder))
	}
	_ = testMemory // in your code a func TestMemory(t *testing.T)
}
