package faults_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
)

// The dimensions that can be made larger, each by one variable; README.md has
// the values for a long run.
const (
	budgetFaults     = "MACHREG_FAULTS_POINTS"     // fault points of one scenario, per kind of fault
	budgetPairs      = "MACHREG_FAULTS_PAIRS"      // pairs of faults of one scenario
	budgetCrashes    = "MACHREG_FAULTS_CRASHES"    // crash states
	budgetKills      = "MACHREG_FAULTS_KILLS"      // processes killed at random
	budgetKillPoints = "MACHREG_FAULTS_KILLPOINTS" // processes killed at a system call
	budgetSyscalls   = "MACHREG_FAULTS_SYSCALLS"   // system calls made to fail
	budgetPowerCuts  = "MACHREG_FAULTS_POWERCUTS"  // power cuts of each kind of file system
)

// budget is the value of one of them, or else normal.
func budget(t testing.TB, name string, normal int) int {
	t.Helper()
	s := os.Getenv(name)
	if s == "" {
		if testing.Short() {
			normal = (normal + 3) / 4
		}
		return normal
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 {
		t.Fatalf("%s=%q: want a number", name, s)
	}
	return n
}

// random returns a generator whose seed is printed, and is taken from
// MACHREG_FAULTS_SEED if that is set.
func random(t testing.TB) *rand.Rand {
	t.Helper()
	seed := rand.Uint64()
	if s := os.Getenv("MACHREG_FAULTS_SEED"); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("MACHREG_FAULTS_SEED=%d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// share spreads limit picks over the numbers below n: all of them if they fit,
// and otherwise some of every part, different ones in each run.
func share(rng *rand.Rand, n, limit int) []int {
	if n <= limit {
		limit = n
	}
	picks := make([]int, 0, limit)
	for i := range limit {
		low, high := i*n/limit, (i+1)*n/limit
		picks = append(picks, low+rng.IntN(high-low))
	}
	return picks
}

func plural(n int, what string) string {
	if n == 1 {
		return fmt.Sprintf("1 %s", what)
	}
	return fmt.Sprintf("%d %ss", n, what)
}
