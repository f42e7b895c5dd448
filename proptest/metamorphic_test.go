package proptest_test

import (
	"flag"
	"testing"

	"pgregory.net/rapid"

	"github.com/machreg/machreg/proptest"
)

// TestSameResults runs one command sequence under every combination of options.
// and on handles whose options differ. One check of it is 64 runs, so it makes
// fewer of them.
func TestSameResults(t *testing.T) {
	checks := flag.Lookup("rapid.checks")
	if checks.Value.String() == checks.DefValue {
		if err := checks.Value.Set("6"); err != nil {
			t.Fatal(err)
		}
		defer checks.Value.Set(checks.DefValue)
	}
	all := proptest.Combinations()
	if len(all) != 2*3*2*2*2 {
		t.Fatalf("%d combinations, want all of them", len(all))
	}
	rapid.Check(t, proptest.SameResults(all, proptest.MixedWays()...))
}
