package proptest

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"runtime"
	"testing"

	"pgregory.net/rapid"
)

// Hunt puts a subject through the suite until a property does not hold, and
// returns what that was and how many checks it took; nil if all of them hold.
// It is for subjects that are known to be broken: nothing is minimized, and the
// stages take turns, so that a fault is found by the one that it is easiest for.
// It gives up after as many histories of each kind as the environment or
// [Histories] says, by default 1000, and as many command sequences. Histories
// are saved only if [EnvDir] says where.
func Hunt(t testing.TB, open New, opts ...Option) *Violation {
	t.Helper()
	c := newConfig(append([]Option{Histories(1000)}, opts...))
	can := probe(t, open)
	var stages []*sitting
	if !c.alone {
		stages = append(stages, &sitting{config: c, new: open, stage: "concurrent", crew: &local{new: open, ways: c.ways}, shape: c.inProcess(), can: can})
	}
	if c.processes != "" {
		workers, err := startProcesses(betweenProcesses.processes, c.processes)
		if err != nil {
			t.Fatal(err)
		}
		defer workers.stop()
		stages = append(stages, &sitting{config: c, new: open, stage: "processes", crew: workers, shape: betweenProcesses, can: can})
	}
	for _, s := range stages {
		s.keep = os.Getenv(EnvDir) != ""
	}
	const turn = 20
	for done := 0; done < c.historyCount(); done += turn {
		checks, err := huntSequences(t, open, opts, turn, seed()+uint64(done))
		if err != nil {
			return &Violation{Stage: "sequential", Checks: done + checks, Err: err}
		}
		for _, s := range stages {
			if v := s.run(func() bool { return s.done < done+turn }); v != nil {
				return v
			}
		}
	}
	return nil
}

// huntSequences runs the state machine n times, or until it fails. Its flags
// are the only way to tell rapid how often, and to keep it from writing down
// what is meant to fail.
func huntSequences(t testing.TB, open New, opts []Option, n int, seed uint64) (checks int, found error) {
	t.Helper()
	for name, value := range map[string]string{"nofailfile": "true", "checks": fmt.Sprint(n), "seed": fmt.Sprint(seed)} {
		f := flag.Lookup("rapid." + name)
		before := f.Value.String()
		if err := f.Value.Set(value); err != nil {
			t.Fatal(err)
		}
		defer f.Value.Set(before)
	}
	property := SequentialProperty(open, opts...)
	done := make(chan struct{})
	go func() { // which rapid ends by FailNow
		defer close(done)
		rapid.Check(&silent{TB: t}, func(rt *rapid.T) {
			if found != nil {
				return
			}
			checks++
			defer func() {
				r := recover()
				_, crash := r.(runtime.Error)
				if rt.Failed() || crash {
					found = errors.New(fmt.Sprint(r))
				}
				if r != nil {
					panic(r)
				}
			}()
			property(rt)
		})
	}()
	<-done
	return checks, found
}

// silent is a test that fails without anybody being told.
type silent struct {
	testing.TB
	failed bool
}

func (s *silent) Name() string          { return "hunt" }
func (s *silent) Helper()               {}
func (s *silent) Log(...any)            {}
func (s *silent) Logf(string, ...any)   {}
func (s *silent) Error(...any)          { s.failed = true }
func (s *silent) Errorf(string, ...any) { s.failed = true }
func (s *silent) Fail()                 { s.failed = true }
func (s *silent) Failed() bool          { return s.failed }
func (s *silent) FailNow()              { s.failed = true; runtime.Goexit() }
func (s *silent) Fatal(...any)          { s.FailNow() }
func (s *silent) Fatalf(string, ...any) { s.FailNow() }
