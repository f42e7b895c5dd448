package proptest_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/machreg/machreg/proptest"
)

// TestLostUpdates counts, in the same workload of several processes, how many
// acknowledged additions are gone in the end.
func TestLostUpdates(t *testing.T) {
	const processes, clients, adds = 4, 8, 8
	count := func(t *testing.T, name string) (acknowledged, lost int) {
		t.Helper()
		acknowledged, lost, err := proptest.CountLost(name, subjects[name], processes, clients, adds)
		if err != nil {
			t.Fatal(err)
		}
		return acknowledged, lost
	}
	var table strings.Builder
	for _, name := range []string{"machines", "baseline"} {
		acknowledged, lost := count(t, name)
		if lost > 0 || acknowledged != processes*clients*adds {
			t.Errorf("%s: of %d additions %d were acknowledged and %d of those are lost, want none", name, processes*clients*adds, acknowledged, lost)
		}
		fmt.Fprintf(&table, "| %s | %d | %d |\n", name, acknowledged, lost)
	}
	// Whether two processes come to hold the published lock at once is up to
	// the scheduler, so it is given a few chances.
	const chances = 10
	acknowledged, lost := 0, 0
	for i := 0; i < chances && lost == 0; i++ {
		a, l := count(t, "published")
		acknowledged, lost = acknowledged+a, lost+l
	}
	fmt.Fprintf(&table, "| published | %d | %d |\n", acknowledged, lost)
	if lost == 0 {
		t.Errorf("the published lock lost none of %d additions: the workload does not show what it is for", acknowledged)
	}
	t.Logf("%d processes × %d goroutines × %d additions\n\n| registry | acknowledged | lost |\n|---|---|---|\n%s", processes, clients, adds, &table)
}
