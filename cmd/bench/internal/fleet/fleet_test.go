package fleet_test

import (
	"slices"
	"testing"

	"github.com/machreg/machreg/cmd/bench/internal/fleet"
)

func TestGenerationFindsMixtures(t *testing.T) {
	const name = "build-0000007"
	m := fleet.Named(name, 42)
	if err := m.Validate(); err != nil {
		t.Fatal(err)
	}
	if got, err := fleet.Generation(name, m); got != 42 || err != nil {
		t.Errorf("Generation = %d, %v", got, err)
	}
	other := fleet.Named("cache-0000008", 43)
	for what, mixed := range map[string]fleet.Machine{
		"a host of another":      {Name: m.Name, Type: m.Type, Host: other.Host, KeyPath: m.KeyPath, TownPath: m.TownPath},
		"a town path of another": {Name: m.Name, Type: m.Type, Host: m.Host, KeyPath: m.KeyPath, TownPath: other.TownPath},
		"another":                other,
		"nothing":                {},
	} {
		if got, err := fleet.Generation(name, mixed); err == nil {
			t.Errorf("Generation of %s = %d", what, got)
		}
	}
}

func TestGenerationsHaveOneSize(t *testing.T) {
	if a, b := fleet.Encode(fleet.Named("a", 0)), fleet.Encode(fleet.Named("a", 999_999_999)); len(a) != len(b) {
		t.Errorf("%d and %d bytes", len(a), len(b))
	}
}

func TestLookupsAreTheFleet(t *testing.T) {
	names := fleet.Lookups(100)
	slices.Sort(names)
	var want []string
	for m := range fleet.All(100) {
		want = append(want, m.Name)
		back, err := fleet.Decode(fleet.Encode(m))
		if back != m || err != nil {
			t.Fatalf("Decode(Encode(%v)) = %v, %v", m, back, err)
		}
	}
	slices.Sort(want)
	if !slices.Equal(names, want) {
		t.Errorf("look-ups are not of the fleet's names")
	}
}
