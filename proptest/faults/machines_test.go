package faults_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"maps"
	"slices"
	"strings"

	"github.com/machreg/machreg/registry"
	"github.com/machreg/machreg/snapshot"
)

// machineOf is the machine that is stored under a name. Every field is derived
// from the name, so a mixture of two is noticed.
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

// names is the state of a registry to which nothing but machineOf has been
// added: which machines there are, besides "local".
type names map[string]bool

func (n names) clone() names { return maps.Clone(n) }

func (n names) String() string { return fmt.Sprintf("%q", slices.Sorted(maps.Keys(n))) }

func (n names) equal(other names) bool { return maps.Equal(n, other) }

// namesIn is the state that a snapshot holds.
func namesIn(s *snapshot.Snapshot[registry.Machine]) (names, error) {
	n := names{}
	for name, m := range s.All() {
		if err := n.add(name, m); err != nil {
			return nil, err
		}
	}
	if q := s.Quarantine(); len(q) > 0 {
		return nil, fmt.Errorf("quarantined: %v", q)
	}
	return n, nil
}

func (n names) add(name string, m registry.Machine) error {
	want := machineOf(name)
	if name == registry.LocalName {
		want = registry.Machine{Name: registry.LocalName, Type: registry.TypeLocal}
	}
	if m != want {
		return fmt.Errorf("machine %q is %+v, want %+v", name, m, want)
	}
	if name != registry.LocalName {
		n[name] = true
	}
	return nil
}

// rawFile is what a file that this library wrote says to a program that has
// nothing but a JSON parser.
type rawFile struct {
	revision registry.Revision
	names    names
}

// parse reads a file down to its checksum with nothing but the standard
// library. It accepts only what this library writes.
func parse(data []byte) (rawFile, error) {
	var raw struct {
		Version  int                         `json:"version"`
		Revision uint64                      `json:"revision"`
		Machines map[string]registry.Machine `json:"machines"`
		Checksum string                      `json:"checksum"`
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&raw); err != nil {
		return rawFile{}, fmt.Errorf("%w in %d bytes %.200q", err, len(data), data)
	}
	if rest := data[dec.InputOffset():]; string(rest) != "\n" {
		return rawFile{}, fmt.Errorf("%q after the object", rest)
	}
	if raw.Version != 1 {
		return rawFile{}, fmt.Errorf("version %d", raw.Version)
	}
	covered := bytes.LastIndex(data, []byte(`"checksum"`))
	sum := crc32.Checksum(data[:max(covered, 0)], crc32.MakeTable(crc32.Castagnoli))
	if want := fmt.Sprintf("crc32c:%08x", sum); raw.Checksum != want {
		return rawFile{}, fmt.Errorf("checksum %q, want %q", raw.Checksum, want)
	}
	f := rawFile{revision: registry.Revision(raw.Revision), names: names{}}
	for name, m := range raw.Machines {
		if err := f.names.add(name, m); err != nil {
			return rawFile{}, err
		}
	}
	return f, nil
}

// inOurForm is a file as this library writes it.
func inOurForm(rev registry.Revision, n names) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "{\n\"version\": 1,\n\"revision\": %d,\n\"machines\": {\n", rev)
	machines := map[string]registry.Machine{registry.LocalName: {Name: registry.LocalName, Type: registry.TypeLocal}}
	for name := range n {
		machines[name] = machineOf(name)
	}
	for i, name := range slices.Sorted(maps.Keys(machines)) {
		if i > 0 {
			b.WriteString(",\n")
		}
		line, _ := json.Marshal(machines[name])
		fmt.Fprintf(&b, "%q: %s", name, line)
	}
	b.WriteString("\n},\n")
	fmt.Fprintf(&b, "\"checksum\": \"crc32c:%08x\"\n}\n", crc32.Checksum(b.Bytes(), crc32.MakeTable(crc32.Castagnoli)))
	return b.Bytes()
}
