package proptest

import (
	"flag"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// Run puts a subject through the whole suite, in subtests: "sequential",
// "concurrent" and, with [Processes], "processes". Its log says what could not
// be checked. How much it does, and from which seed, the environment says; see
// [EnvSeed], and -rapid.checks for the command sequences.
func Run(t *testing.T, open New, opts ...Option) {
	c := newConfig(opts)
	can := probe(t, open)
	c.report(t, can)
	t.Run("sequential", func(t *testing.T) {
		property := SequentialProperty(open, opts...)
		for round, end := uint64(0), deadline(); ; round++ {
			rapidSeed(t, seed()+round)
			rapid.Check(t, property)
			if !time.Now().Before(end) {
				return
			}
		}
	})
	if c.alone {
		return
	}
	t.Run("concurrent", func(t *testing.T) {
		sit(t, &sitting{config: c, new: open, stage: "concurrent", crew: &local{new: open, ways: c.ways}, shape: c.inProcess(), can: can})
	})
	if c.processes == "" {
		return
	}
	t.Run("processes", func(t *testing.T) {
		workers, err := startProcesses(betweenProcesses.processes, c.processes)
		if err != nil {
			t.Fatal(err)
		}
		sit(t, &sitting{config: c, new: open, stage: "processes", crew: workers, shape: betweenProcesses, can: can})
		if err := workers.stop(); err != nil {
			t.Error(err)
		}
	})
}

// betweenProcesses is the shape of a history of several processes.
var betweenProcesses = shape{processes: 4, handles: 2, clients: 2, steps: 5}

// inProcess is the shape of a history in one process.
func (c config) inProcess() shape {
	s := shape{processes: 1, handles: 3, clients: 6, steps: 7}
	if !c.shared {
		s.handles = 1
	}
	return s
}

// probe opens the subject once to see what it can do.
func probe(t testing.TB, open New) capabilities {
	t.Helper()
	dir, err := os.MkdirTemp("", "machreg-proptest-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	s, err := open(dir)
	if err != nil {
		t.Fatalf("open the subject in an empty directory: %v", err)
	}
	can := capabilitiesOf(s)
	if err := closeSubject(s); err != nil {
		t.Fatalf("close the subject: %v", err)
	}
	return can
}

// sit runs the histories of one test.
func sit(t *testing.T, s *sitting) {
	t.Helper()
	s.keep = true
	start, end, count := time.Now(), deadline(), s.historyCount()
	v := s.run(func() bool {
		if duration() > 0 {
			return time.Now().Before(end)
		}
		return s.done < count
	})
	if v != nil {
		t.Fatalf("%v\nto reproduce: %s", v, reproduce(t.Name()))
	}
	t.Logf("%d histories of %d processes × %d goroutines × %d operations on %d handles each in %v, %s=%d",
		s.done, s.shape.processes, s.shape.clients, s.shape.steps, s.shape.handles, time.Since(start).Round(time.Millisecond), EnvSeed, seed())
}

// deadline is when a property that runs for a time ends; now if it does not.
func deadline() time.Time { return time.Now().Add(duration()) }

// rapidSeed makes rapid start from our seed, unless it was given its own. Flags
// are the only way in that rapid has.
func rapidSeed(t testing.TB, seed uint64) {
	t.Helper()
	if rapidSeedGiven() {
		return
	}
	if err := flag.Set("rapid.seed", fmt.Sprint(seed)); err != nil {
		t.Fatal(err)
	}
}

// rapidSeedGiven is what the command line said, before rapidSeed has set it.
var rapidSeedGiven = sync.OnceValue(func() bool {
	return flag.Lookup("rapid.seed").Value.String() != "0"
})
