//go:build unix

package registry_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/machreg/machreg/registry"
)

// roleBurst writes one generation after the other of one machine and reports
// each, until it is killed. It goes on from the one that is there.
var roleBurst = program("burst", func(args []string) error {
	path, name := args[0], args[1]
	r, err := registry.OpenMachines(path, &registry.Options{Sync: registry.SyncNone})
	if err != nil {
		return err
	}
	n, err := latestGeneration(r, name)
	if err != nil {
		return err
	}
	for {
		n++
		if _, err := r.Add(context.Background(), generation(name, n)); err != nil {
			return err
		}
		fmt.Printf("wrote %d\n", n)
	}
})

// burstWriter is a process that runs roleBurst.
type burstWriter struct {
	*child
	name  string
	acked atomic.Int64
	news  chan struct{} // has a value after a report, and is closed at the end
}

func startBurst(t testing.TB, path string, i int) *burstWriter {
	t.Helper()
	w := &burstWriter{name: fmt.Sprintf("burst-%d", i), news: make(chan struct{}, 1)}
	w.child = startChild(t, roleBurst, path, w.name)
	go func() {
		defer close(w.news)
		for {
			line, ok := w.line()
			n, err := strconv.Atoi(strings.TrimPrefix(line, "wrote "))
			if !ok || err != nil {
				return
			}
			w.acked.Store(int64(n))
			select {
			case w.news <- struct{}{}:
			default:
			}
		}
	}()
	return w
}

// acknowledged is the last generation that is known to be written.
func (w *burstWriter) acknowledged() int { return int(w.acked.Load()) }

// await waits for n more reports.
func (w *burstWriter) await(n int) {
	w.t.Helper()
	for range n {
		if _, ok := <-w.news; !ok {
			w.t.Fatalf("writer %s ended by itself", w.name)
		}
	}
}

func (w *burstWriter) signal(s syscall.Signal) {
	w.t.Helper()
	if err := w.cmd.Process.Signal(s); err != nil {
		w.t.Fatal(err)
	}
}

// Two writers are stopped, continued and killed at random moments while they
// write as fast as they can. What a writer acknowledged, or a reader has seen,
// every reader that is asked later sees.
func TestLatestUnderSignals(t *testing.T) {
	for _, how := range []string{"page", "stamps"} {
		t.Run(how, func(t *testing.T) {
			path := newPath(t)
			readers := [2]*child{startChild(t, roleRounds, path, how), startChild(t, roleRounds, path, how)}
			seed := rand.Uint64()
			rng := rand.New(rand.NewPCG(seed, 0))
			seen := map[string]int{}
			kills, stops, reads := 0, 0, 0
			var writers [2]*burstWriter
			for i := range writers {
				writers[i] = startBurst(t, path, i)
			}
			check := func() {
				for i := range writers {
					name := writers[i].name
					seen[name] = max(seen[name], writers[i].acknowledged())
				}
				for i, p := range readers {
					for _, w := range writers {
						n := p.sees(w.name)
						if n < seen[w.name] {
							t.Fatalf("seed %d: reader %d sees generation %d of %s, after %d was acknowledged or read", seed, i, n, w.name, seen[w.name])
						}
						seen[w.name] = n
						reads++
					}
				}
			}
			for range long(40) {
				victim := rng.IntN(len(writers))
				w := writers[victim]
				w.await(rng.IntN(8))
				if rng.IntN(2) == 0 {
					w.signal(syscall.SIGSTOP)
					stops++
					check()
					check()
					w.signal(syscall.SIGCONT)
				} else {
					w.kill()
					kills++
					check()
					writers[victim] = startBurst(t, path, victim)
				}
				check()
			}
			t.Logf("%d reads, %d stops, %d kills", reads, stops, kills)
			if stops == 0 || kills == 0 {
				t.Error("no signal was sent")
			}
		})
	}
}
