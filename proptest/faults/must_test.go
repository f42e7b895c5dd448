package faults_test

import (
	"os"
	"testing"

	"github.com/machreg/machreg/registry"
)

func mustOpen(t testing.TB, path string, opts *registry.Options) *registry.MachineRegistry {
	t.Helper()
	r, err := registry.OpenMachines(path, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

func mustAdd(t testing.TB, r *registry.MachineRegistry, name string) {
	t.Helper()
	if _, err := r.Add(t.Context(), machineOf(name)); err != nil {
		t.Fatal(err)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// mustHold demands that the file at path is a whole revision with these names.
func mustHold(t testing.TB, path string, want ...string) {
	t.Helper()
	data, err := os.ReadFile(path)
	must(t, err)
	f, err := parse(data)
	must(t, err)
	if !f.names.equal(newLedger(want...).here) {
		t.Errorf("the file holds %v, want %q", f.names, want)
	}
}
