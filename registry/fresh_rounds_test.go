package registry_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/machreg/machreg/registry"
)

// roundsOptions reads how a process of the rounds opens its registry: "page",
// "stamps" or "watch". Nothing but Latest makes it see anything, unless it
// says watch.
func roundsOptions(how string) *registry.Options {
	o := &registry.Options{Sync: registry.SyncNone, Refresh: registry.RefreshNever}
	switch how {
	case "stamps":
		o.Page = registry.PageOff
	case "watch":
		o.Refresh = registry.RefreshWatch
	}
	return o
}

// roleRounds does what its input says, a line each: "write NAME N" makes the
// machine NAME that generation, "read NAME" answers which one Latest sees,
// "holds NAME" whether Latest sees machineOf NAME, "mode" says how it knows, and
// "look" has it look after the page, as it does every PollInterval.
var roleRounds = program("rounds", func(args []string) error {
	r, err := registry.OpenMachines(args[0], roundsOptions(args[1]))
	if err != nil {
		return err
	}
	out := bufio.NewWriter(os.Stdout)
	ctx := context.Background()
	for {
		line, err := childInput.ReadString('\n')
		if err != nil {
			return r.Close()
		}
		verb, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		name, number, _ := strings.Cut(rest, " ")
		switch verb {
		case "write":
			n, err := strconv.Atoi(number)
			if err == nil {
				_, err = r.Add(ctx, generation(name, n))
			}
			fmt.Fprintf(out, "wrote %v\n", err)
		case "read":
			seen, err := latestGeneration(r, name)
			fmt.Fprintf(out, "read %d %v\n", seen, err)
		case "holds":
			stale, err := misses(r, name)
			fmt.Fprintf(out, "holds %v %v\n", !stale, err)
		case "mode":
			fmt.Fprintf(out, "mode %s\n", r.Stats().Latest.Name)
		case "look":
			r.Maintain()
			fmt.Fprintln(out, "looked")
		}
		if err := out.Flush(); err != nil {
			return err
		}
	}
})

// latestGeneration is what Latest says of a machine; 0 if it is not there.
func latestGeneration(r *registry.MachineRegistry, name string) (int, error) {
	snap, err := r.Latest(context.Background())
	if err != nil {
		return 0, err
	}
	m, ok := snap.Get(name)
	if !ok {
		return 0, nil
	}
	return generationOf(m)
}

// asks has the child do one thing, and returns what it answers.
func (c *child) asks(command, answer string) string {
	c.t.Helper()
	if _, err := fmt.Fprintln(c.stdin, command); err != nil {
		c.t.Fatal(err)
	}
	return c.read(answer)
}

// sees asks the child which generation Latest sees.
func (c *child) sees(name string) int {
	c.t.Helper()
	seen, rest, _ := strings.Cut(c.asks("read "+name, "read"), " ")
	got, err := strconv.Atoi(seen)
	if rest != "<nil>" || err != nil {
		c.t.Fatalf("Latest: %s, %v", rest, err)
	}
	return got
}

// rounds is how many rounds a test does: 100,000 in a long run.
func rounds(short int) int {
	if longRun {
		return 100_000
	}
	if testing.Short() {
		return short / 10
	}
	return short
}

// In each round one of three processes writes, and then the others are told
// and ask Latest.
func TestLatestRounds(t *testing.T) {
	for _, how := range []string{"page", "stamps", "watch"} {
		t.Run(how, func(t *testing.T) {
			path := newPath(t)
			first := open(t, path, roundsOptions(how))
			add(t, first, "first")
			mode := registry.ModeStamp
			if how != "stamps" {
				needPage(t, first)
				mode = registry.ModePage
			}
			var procs [3]*child
			for i := range procs {
				procs[i] = startChild(t, roleRounds, path, how)
			}
			seed := rand.Uint64()
			rng := rand.New(rand.NewPCG(seed, 0))
			stale := 0
			for n := 1; n <= rounds(800); n++ {
				writer := rng.IntN(len(procs))
				if got := procs[writer].asks(fmt.Sprintf("write round %d", n), "wrote"); got != "<nil>" {
					t.Fatalf("write %d: %s", n, got)
				}
				// Not every process every time: some have fallen behind by
				// several revisions when they look again.
				for i, p := range procs {
					if i != writer && rng.IntN(4) == 0 {
						continue
					}
					if got := p.sees("round"); got != n {
						stale++
						t.Errorf("seed %d, round %d: process %d sees generation %d", seed, n, i, got)
					}
				}
				if stale > 10 {
					t.Fatal("and so on")
				}
			}
			t.Logf("%d rounds, %d stale reads", rounds(800), stale)
			for _, p := range procs {
				if got := p.asks("mode", "mode"); got != mode {
					t.Errorf("a process ended in mode %q, want %q", got, mode)
				}
				p.wait()
			}
		})
	}
}

// A writer is killed between the rename and the page's second bump. What one
// reader has seen of it, the other sees too, and the next write repairs it.
func TestLatestWriterDiesBetweenBumps(t *testing.T) {
	for _, how := range []string{"page", "stamps"} {
		path := newPath(t)
		readers := [2]*registry.MachineRegistry{open(t, path, roundsOptions(how)), open(t, path, roundsOptions(how))}
		writer := open(t, path, roundsOptions(how))
		add(t, writer, "first")
		for i := range long(10) {
			for _, r := range readers {
				sees(t, r, "first")
			}
			name := fmt.Sprintf("died-%d", i)
			stopped := stopRenamed(t, path, name)
			for _, r := range readers {
				sees(t, r, name) // while it is stopped
			}
			stopped.kill()
			for _, r := range readers {
				sees(t, r, name)
			}
			next := fmt.Sprintf("next-%d", i)
			add(t, writer, next)
			for _, r := range readers {
				sees(t, r, next)
				sees(t, r, name)
			}
		}
	}
}

func sees(t testing.TB, r *registry.MachineRegistry, name string) {
	t.Helper()
	if stale, err := misses(r, name); err != nil || stale {
		t.Fatalf("Latest does not see %q: %v", name, err)
	}
}

// misses reports whether Latest does not see a machine.
func misses(r *registry.MachineRegistry, name string) (bool, error) {
	snap, err := r.Latest(context.Background())
	if err != nil {
		return false, err
	}
	m, ok := snap.Get(name)
	if ok && m != machineOf(name) {
		return false, errors.New("mixed value")
	}
	return !ok, nil
}

// With a page that has no odd phase the same scene shows a stale read: the
// reader that looks at the file while the writer is stopped sees the new
// revision, and the other one, told of it, does not.
func TestWeakPageIsFound(t *testing.T) {
	for _, weak := range []bool{false, true} {
		path := newPath(t)
		add(t, open(t, path, nil), "first")
		behind := open(t, path, roundsOptions("page"))
		needPage(t, behind)
		sees(t, behind, "first")
		name := "strong"
		if weak {
			name = "weak"
		}
		stopped := stopRenamed(t, path, name)
		sees(t, open(t, path, &registry.Options{ReadOnly: true, Refresh: registry.RefreshNever}), name)
		stale, err := misses(behind, name)
		if err != nil {
			t.Fatal(err)
		}
		if stale != weak {
			t.Errorf("weak = %v: stale read = %v", weak, stale)
		}
		stopped.kill()
	}
}
