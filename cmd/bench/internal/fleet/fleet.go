// Package fleet makes the machines of the benchmarks. A machine's content
// follows from its name and a generation, so whatever mixes two of them, or
// returns an old one for a new one, is found by looking at the machine alone.
package fleet

import (
	"encoding/json"
	"fmt"
	"hash/crc32"
	"iter"
	"math/rand/v2"
	"strings"

	"github.com/machreg/machreg/registry"
)

// Machine is what all contenders store.
type Machine = registry.Machine

var (
	roles   = [...]string{"build", "cache", "db", "edge", "gpu", "runner", "web"}
	regions = [...]string{"ap-south-1", "eu-central-1", "eu-north-1", "us-east-1", "us-west-2"}
	users   = [...]string{"ci", "deploy", "ops"}
)

// Name is the name of machine i of a fleet.
func Name(i int) string { return fmt.Sprintf("%s-%07d", roles[i%len(roles)], i) }

// At is machine i of a fleet in its first generation.
func At(i int) Machine { return Named(Name(i), 0) }

// Named is the machine of that name in a generation. Up to a billion
// generations have encodings of equal length, so that rewriting a machine does
// not change the size of a file.
func Named(name string, generation int) Machine {
	h := crc32.ChecksumIEEE([]byte(name))
	m := Machine{
		Name:    name,
		Type:    registry.TypeSSH,
		Host:    fmt.Sprintf("%s@%s.%s.example.net", users[h%uint32(len(users))], name, regions[h%uint32(len(regions))]),
		KeyPath: "/home/" + users[h%uint32(len(users))] + "/.ssh/id_ed25519",
	}
	m.TownPath = fmt.Sprintf("/srv/town/%09d-%08x", generation, sum(m, generation))
	return m
}

func sum(m Machine, generation int) uint32 {
	return crc32.ChecksumIEEE(fmt.Appendf(nil, "%s|%s|%s|%d", m.Name, m.Host, m.KeyPath, generation))
}

// Generation returns the generation of a machine that was stored under name,
// or an error if its parts do not belong together.
func Generation(name string, m Machine) (int, error) {
	var generation int
	var check uint32
	rest, ok := strings.CutPrefix(m.TownPath, "/srv/town/")
	if _, err := fmt.Sscanf(rest, "%d-%x", &generation, &check); !ok || err != nil {
		return 0, fmt.Errorf("machine %q: town path %q is not of a fleet", name, m.TownPath)
	}
	if m != Named(name, generation) {
		return 0, fmt.Errorf("machine %q: its parts are of different machines: %+v", name, m)
	}
	return generation, nil
}

// All yields the first n machines in the order of their numbers.
func All(n int) iter.Seq[Machine] {
	return func(yield func(Machine) bool) {
		for i := range n {
			if !yield(At(i)) {
				return
			}
		}
	}
}

// Lookups returns the names of n machines in a random order that is the same
// in every run, so that no reader is served by the processor's guesses. The
// strings are not those that any store holds.
func Lookups(n int) []string {
	names := make([]string, n)
	for i, j := range rand.New(rand.NewPCG(1, uint64(n))).Perm(n) {
		names[i] = Name(j)
	}
	return names
}

// Encode is the value that the contenders without an encoding of their own
// store: the same bytes that stand in a registry file.
func Encode(m Machine) []byte {
	data, err := json.Marshal(m)
	if err != nil {
		panic(err) // strings only
	}
	return data
}

// Decode is the inverse of Encode.
func Decode(data []byte) (m Machine, err error) {
	err = json.Unmarshal(data, &m)
	return m, err
}
