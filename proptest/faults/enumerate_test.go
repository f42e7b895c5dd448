package faults_test

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/machreg/machreg/internal/vfs/errorfs"
)

// kindOfFault is one way for an operation to fail, and what the registry's
// error may then be.
type kindOfFault struct {
	name   string
	fault  errorfs.Fault
	times  int
	causes []error
}

// kindsOfFault are all that fit: every error instead of the operation, once
// and from then on; the same after the operation happened, as with a network
// file system; and half of a read or write.
func kindsOfFault() (kinds []kindOfFault) {
	for _, err := range errorfs.Errors {
		name := fmt.Sprintf("%v", err.(syscall.Errno))
		kinds = append(kinds,
			kindOfFault{name + " once", errorfs.Fail(err), 1, []error{err}},
			kindOfFault{name + " from then on", errorfs.Fail(err), errorfs.Always, []error{err}},
			kindOfFault{name + " after it happened", errorfs.FailAfter(err), 1, []error{err}},
			kindOfFault{name + " after it happened, from then on", errorfs.FailAfter(err), errorfs.Always, []error{err}},
		)
	}
	for _, err := range []error{nil, syscall.ENOSPC, syscall.EIO} {
		causes := append([]error{err}, shortCauses...)
		name := "short"
		if err != nil {
			name += fmt.Sprintf(" with %v", err)
		} else {
			causes = causes[1:]
		}
		kinds = append(kinds,
			kindOfFault{name + " once", errorfs.Short(err), 1, causes},
			kindOfFault{name + " from then on", errorfs.Short(err), errorfs.Always, causes},
		)
	}
	return kinds
}

// play runs a scenario with faults and settles it. It reports whether all of
// them fired.
func play(t testing.TB, s scenario, plans []errorfs.Plan, causes []error) (fired bool) {
	t.Helper()
	err := inDirectory(func(dir string) {
		w := newWorld(dir, nil)
		if s.prepare != nil {
			s.prepare(w)
		}
		w.faulty.Record()
		for _, p := range plans {
			w.inject(p, causes...)
		}
		s.run(w)
		fired = true
		for _, i := range w.faults {
			fired = fired && i.Fired() > 0
		}
		trace := w.faulty.Trace()
		w.settle()
		if len(w.problems) > 0 {
			var lines []string
			for _, op := range trace {
				op.Number -= trace[0].Number
				lines = append(lines, op.String())
			}
			t.Errorf("%s, faults at %v:\n%s\noperations:\n%s\n%s", s.name, at(plans),
				strings.Join(w.problems, "\n"), strings.Join(lines, "\n"), w.disk)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return fired
}

func at(plans []errorfs.Plan) (numbers []int) {
	for _, p := range plans {
		numbers = append(numbers, p.At)
	}
	return numbers
}

// length is how many operations a scenario has when nothing fails. With a fault
// it may have more, so it is where a share is taken from, not where all ends.
func length(t testing.TB, s scenario) (n int) {
	t.Helper()
	err := inDirectory(func(dir string) {
		w := newWorld(dir, nil)
		if s.prepare != nil {
			s.prepare(w)
		}
		start := w.faulty.Ops()
		s.run(w)
		n = w.faulty.Ops() - start
		w.settle()
		if len(w.problems) > 0 {
			t.Fatalf("%s, without a fault:\n%s", s.name, strings.Join(w.problems, "\n"))
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestEveryFault fails every operation of every scenario in every way. A test
// run does a share of it, another one each time; see README.md for all of it.
func TestEveryFault(t *testing.T) {
	limit := budget(t, budgetFaults, 4)
	rng := random(t)
	before := runtime.NumGoroutine()
	total := 0
	for _, s := range scenarios {
		t.Run(s.name, func(t *testing.T) {
			points, n := 0, length(t, s)
			for _, kind := range kindsOfFault() {
				points += playAll(t, rng, s, n, kind, limit)
				if t.Failed() {
					t.Fatalf("with %s", kind.name)
				}
			}
			t.Logf("%d fault points", points)
			total += points
		})
	}
	t.Logf("%d fault points", total)
	if total == 0 {
		t.Error("no fault fired")
	}
	checkGoroutines(t, before)
}

// playAll fails operation k in one way for k = 0, 1, 2, … until the scenario
// ends without the fault, or a share of that.
func playAll(t testing.TB, rng *rand.Rand, s scenario, n int, kind kindOfFault, limit int) (points int) {
	t.Helper()
	plan := func(k int) []errorfs.Plan {
		return []errorfs.Plan{{At: k, Times: kind.times, Fault: kind.fault}}
	}
	if limit == 0 {
		for play(t, s, plan(points), kind.causes) && !t.Failed() {
			points++
		}
		return points
	}
	for _, k := range share(rng, n, limit) {
		if play(t, s, plan(k), kind.causes) {
			points++
		}
	}
	return points
}

// TestEveryPairOfFaults lets a second operation fail while the registry
// recovers from the failure of a first: when it discards what it has prepared,
// when it looks what became of a rename, when it sweeps, when it tries again.
func TestEveryPairOfFaults(t *testing.T) {
	limit := budget(t, budgetPairs, 60)
	rng := random(t)
	faults := []struct {
		name string
		make func(error) errorfs.Fault
	}{{"not happening", errorfs.Fail}, {"happening all the same", errorfs.FailAfter}}
	total := 0
	for _, s := range scenarios {
		t.Run(s.name, func(t *testing.T) {
			n := length(t, s)
			points := 0
			for _, pick := range share(rng, n*n*len(faults), limitOrAll(limit)) {
				first, rest := pick%n, pick/n
				second, how := first+1+rest%n, faults[rest/n]
				plans := []errorfs.Plan{
					{At: first, Fault: how.make(syscall.EIO)},
					{At: second, Fault: errorfs.Fail(syscall.ENOSPC)},
				}
				if play(t, s, plans, []error{syscall.EIO, syscall.ENOSPC}) {
					points++
				}
				if t.Failed() {
					t.Fatalf("with the first operation %s", how.name)
				}
			}
			t.Logf("%d pairs", points)
			total += points
		})
	}
	t.Logf("%d pairs of faults", total)
	if total == 0 {
		t.Error("no pair fired")
	}
}

// limitOrAll takes a limit of 0 for none.
func limitOrAll(limit int) int {
	if limit == 0 {
		return 1 << 30
	}
	return limit
}

// checkGoroutines demands that soon no more goroutines are left than there were:
// those that are on their way out need a moment.
func checkGoroutines(t testing.TB, before int) {
	t.Helper()
	for patience := time.Now().Add(20 * time.Second); time.Now().Before(patience); time.Sleep(time.Millisecond) {
		if runtime.NumGoroutine() <= before {
			return
		}
	}
	stacks := make([]byte, 1<<20)
	t.Errorf("%d goroutines, and %d before:\n%s", runtime.NumGoroutine(), before, stacks[:runtime.Stack(stacks, true)])
}
