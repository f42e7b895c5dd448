package registry_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/machreg/machreg/registry"
)

// readOnlyWrites are all the ways to write; each must be refused.
func readOnlyWrites(t *testing.T, r *registry.MachineRegistry) map[string]error {
	t.Helper()
	_, add := r.Add(t.Context(), machineOf("new"))
	_, put := r.Put(t.Context(), "new", machineOf("new"))
	_, remove := r.Remove(t.Context(), "a")
	_, update := r.Update(t.Context(), func(*tx) error {
		t.Error("Update ran its function on a read-only registry")
		return nil
	})
	tx := r.Begin()
	if err := tx.Put("new", machineOf("new")); err != nil {
		t.Error(err)
	}
	_, commit := tx.Commit(t.Context())
	return map[string]error{"Add": add, "Put": put, "Remove": remove, "Update": update, "Commit": commit}
}

func TestReadOnlyCreatesNothing(t *testing.T) {
	for name, locked := range map[string]bool{"beside a writer": true, "alone": false} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "machines.json")
			writer := open(t, path, &registry.Options{PollInterval: never}) // or it would look after its page
			add(t, writer, "a")
			if !locked {
				if err := os.RemoveAll(filepath.Join(dir, ".gastown")); err != nil {
					t.Fatal(err)
				}
			}
			before, content := list(t, dir), string(mustRead(t, path))
			r, err := registry.OpenMachines(path, &registry.Options{ReadOnly: true})
			if err != nil {
				t.Fatal(err)
			}
			if m, err := r.Get("a"); err != nil || m != machineOf("a") {
				t.Errorf("Get = %+v, %v", m, err)
			}
			if _, err := r.Latest(t.Context()); err != nil {
				t.Errorf("Latest: %v", err)
			}
			for what, err := range readOnlyWrites(t, r) {
				if !errors.Is(err, registry.ErrReadOnly) {
					t.Errorf("%s = %v, want ErrReadOnly", what, err)
				}
			}
			if locked {
				rev := add(t, writer, "b")
				if snap, err := r.AtLeast(t.Context(), rev); err != nil || !snap.Holds("b") {
					t.Errorf("AtLeast(%d): %v", rev, err)
				}
				content = string(mustRead(t, path))
			}
			if err := r.Close(); err != nil {
				t.Error(err)
			}
			if after := list(t, dir); !slices.Equal(after, before) {
				t.Errorf("the directory holds %q, want %q", after, before)
			}
			if string(mustRead(t, path)) != content {
				t.Error("the file was changed")
			}
		})
	}
}

func TestReadOnlyWithoutFile(t *testing.T) {
	dir := t.TempDir()
	r := open(t, filepath.Join(dir, "sub", "machines.json"), &registry.Options{ReadOnly: true})
	if names := r.Len(); names != 1 {
		t.Errorf("a registry without file has %d machines, want local", names)
	}
	if got := list(t, dir); len(got) != 0 {
		t.Errorf("opening it made %q", got)
	}
}
