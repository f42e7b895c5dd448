//go:build unix

package baseline_test

import (
	"os"
	"testing"

	"github.com/machreg/machreg/proptest/baseline"
)

// TestPublishedLockLosesUpdates shows what the published life cycle of the lock
// file costs. It is an experiment that must succeed: if nothing is lost in all
// rounds, the experiments that rely on this control prove nothing either. Where
// an open file cannot be deleted, it is not possible. MACHREG_LONG=1 takes the
// workload of TestCorrectLockLosesNothing.
func TestPublishedLockLosesUpdates(t *testing.T) {
	rounds, goroutines, adds := 25, 4, 10
	if os.Getenv("MACHREG_LONG") == "1" {
		rounds, goroutines, adds = 5, 8, 50
	}
	for round := range rounds {
		got := addFromProcesses(t, baseline.PublishedLock, 4, goroutines, adds)
		t.Logf("round %d: %v", round, got)
		if got.lost > 0 {
			return
		}
	}
	t.Errorf("no acknowledged update was lost in %d rounds", rounds)
}
