package registry_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/machreg/machreg/registry"
)

// machineOf is the machine that the tests store under a name. Every field is
// derived from the name, so a mixture of two is noticed.
func machineOf(name string) registry.Machine {
	sum := crc32.ChecksumIEEE([]byte(name))
	return registry.Machine{
		Name:     name,
		Type:     registry.TypeSSH,
		Host:     fmt.Sprintf("user%d@host-%08x", sum%7, sum),
		KeyPath:  fmt.Sprintf("/keys/%s/%08x", name, sum*3),
		TownPath: strings.Repeat(name, int(sum%5)),
	}
}

// sameMachine is an error unless m is machineOf its name, or the built-in one.
func sameMachine(name string, m registry.Machine) error {
	want := machineOf(name)
	if name == registry.LocalName {
		want = registry.Machine{Name: registry.LocalName, Type: registry.TypeLocal}
	}
	if m != want {
		return fmt.Errorf("machine %q is %+v, want %+v", name, m, want)
	}
	return nil
}

// rawFile is a registry file as a program without this library reads it.
type rawFile struct {
	Version  int                         `json:"version"`
	Revision uint64                      `json:"revision"`
	Machines map[string]registry.Machine `json:"machines"`
	Checksum string                      `json:"checksum"`
}

// parseRaw reads a file that this library wrote, down to the checksum, with
// nothing but the standard library.
func parseRaw(data []byte) (rawFile, error) {
	var raw rawFile
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&raw); err != nil {
		return raw, fmt.Errorf("%w in %q", err, data)
	}
	if rest := data[dec.InputOffset():]; string(rest) != "\n" {
		return raw, fmt.Errorf("%q after the object", rest)
	}
	if raw.Version != 1 {
		return raw, fmt.Errorf("version %d", raw.Version)
	}
	covered := bytes.LastIndex(data, []byte(`"checksum"`))
	sum := crc32.Checksum(data[:max(covered, 0)], crc32.MakeTable(crc32.Castagnoli))
	if want := fmt.Sprintf("crc32c:%08x", sum); raw.Checksum != want {
		return raw, fmt.Errorf("checksum %q, want %q", raw.Checksum, want)
	}
	for name, m := range raw.Machines {
		if m.Name != name {
			return raw, fmt.Errorf("machine %q is named %q", name, m.Name)
		}
	}
	return raw, nil
}

// mustParse is parseRaw of the file at path.
func mustParse(t testing.TB, path string) rawFile {
	t.Helper()
	raw, err := parseRaw(mustRead(t, path))
	if err != nil {
		t.Fatalf("file %q: %v", path, err)
	}
	return raw
}

func mustRead(t testing.TB, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func mustWrite(t testing.TB, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// newPath is a registry that does not exist yet.
func newPath(t testing.TB) string {
	t.Helper()
	return filepath.Join(t.TempDir(), "machines.json")
}

// open opens the machines at path until the test ends.
func open(t testing.TB, path string, opts *registry.Options) *registry.MachineRegistry {
	t.Helper()
	r, err := registry.OpenMachines(path, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return r
}

// add stores machineOf every name.
func add(t testing.TB, r *registry.MachineRegistry, names ...string) (last registry.Revision) {
	t.Helper()
	for _, name := range names {
		rev, err := r.Add(t.Context(), machineOf(name))
		if err != nil {
			t.Fatal(err)
		}
		last = rev
	}
	return last
}

// list is the names of a directory, with what is in its subdirectories.
func list(t testing.TB, dir string) (names []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		if rel, _ := filepath.Rel(dir, path); err == nil && rel != "." {
			names = append(names, filepath.ToSlash(rel))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}
