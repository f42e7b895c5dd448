//go:build unix

package faults_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// TestKilledAtRandom kills processes in the middle of what they are doing: while
// they write, while they wait for the lock or for their turn, for a revision or
// a change, and while they make a page. It starts others in their place, and
// demands after each death that the file is a whole revision with every write
// that any of them, dead or alive, had been told was done.
func TestKilledAtRandom(t *testing.T) {
	cycles := budget(t, budgetKills, 60)
	rng := random(t)
	acknowledged, waited := 0, 0
	for done := 0; done < cycles; {
		n := min(cycles-done, 25) // each directory serves for some, so that files stay small
		err := inDirectory(func(dir string) {
			k := &killing{dir: dir, rng: rng, ledger: newLedger()}
			if err := k.run(done, n); err != nil {
				keep := filepath.Join(t.ArtifactDir(), "lost.json")
				data, _ := os.ReadFile(filepath.Join(dir, "machines.json"))
				os.WriteFile(keep, data, 0o644)
				t.Fatalf("%v; the file is kept as %q", err, keep)
			}
			acknowledged += len(k.here)
			waited += k.waited
		})
		if err != nil {
			t.Fatal(err)
		}
		done += n
	}
	t.Logf("%d processes killed, %d of them while they waited for a lock, %d writes acknowledged", cycles, waited, acknowledged)
	if lockWaiters() != nil && cycles >= 50 && waited == 0 {
		t.Error("none was killed while it waited for a lock")
	}
}

// killing is one directory in which workers work and die.
type killing struct {
	dir string
	rng *rand.Rand
	*ledger
	names  int
	waited int // killed while they waited for a lock
}

// victim is a worker that is going to be killed.
type victim struct {
	*child
	heard  chan struct{} // one for each report, until it has said all
	ended  sync.WaitGroup
	failed error
}

func (k *killing) start(first int) (*victim, error) {
	k.names++
	c, err := startChild(roleWork, k.dir, fmt.Sprintf("w%d-%d", first, k.names), "1000000")
	if err != nil {
		return nil, err
	}
	v := &victim{child: c, heard: make(chan struct{}, 1<<16)}
	v.ended.Go(func() {
		defer close(v.heard)
		for {
			line, ok := v.line()
			if !ok {
				return
			}
			if err := k.hear(line); err != nil || line[0] != '+' {
				v.failed = fmt.Errorf("worker says %q: %w", line, err)
				return
			}
			v.heard <- struct{}{}
		}
	})
	return v, nil
}

// startIdle starts a process that writes nothing: it waits for what never comes,
// or makes pages.
func (k *killing) startIdle() (*victim, error) {
	idle := [][]string{{roleAtLeast, k.dir, "1000000000"}, {roleWatch, k.dir, "never"}, {roleRepair, k.dir}}
	chosen := idle[k.rng.IntN(len(idle))]
	c, err := startChild(chosen[0], chosen[1:]...)
	return &victim{child: c}, err
}

// awaitLock returns one of the workers while it waits for a lock, or -1 if none
// is found at that.
func awaitLock(workers []*victim) int {
	const looks = 200
	for range looks {
		waiters := lockWaiters()
		for i, v := range workers {
			if _, waits := waiters[v.cmd.Process.Pid]; waits {
				return i
			}
		}
	}
	return -1
}

// die kills it, if it is there, and waits until all it has said is heard.
func (v *victim) die() error {
	if v == nil {
		return nil
	}
	v.cmd.Process.Kill()
	v.ended.Wait()
	v.cmd.Wait()
	if v.failed == nil && v.err.Len() > 0 {
		return fmt.Errorf("worker: %s", v.err)
	}
	return v.failed
}

func (k *killing) run(first, kills int) error {
	const together = 3
	var workers []*victim
	var idle *victim
	defer func() {
		for _, v := range workers {
			v.die()
		}
		idle.die()
	}()
	for range kills {
		for len(workers) < together {
			v, err := k.start(first)
			if err != nil {
				return err
			}
			workers = append(workers, v)
		}
		if idle == nil {
			v, err := k.startIdle()
			if err != nil {
				return err
			}
			idle = v
		}
		i, waits := k.rng.IntN(len(workers)), false
		switch k.rng.IntN(4) {
		case 0:
			i = -1
			time.Sleep(time.Duration(k.rng.Int64N(int64(20 * time.Millisecond))))
		case 1:
			if at := awaitLock(workers); at >= 0 {
				i, waits = at, true
				break
			}
			fallthrough
		default:
			// At any point of its life: from before it has opened the registry
			// to the middle of its n-th write.
			for range k.rng.IntN(8) {
				if _, ok := <-workers[i].heard; !ok {
					return workers[i].die()
				}
			}
			time.Sleep(time.Duration(k.rng.Int64N(int64(2 * time.Millisecond))))
		}
		v := idle
		if i < 0 {
			idle = nil
		} else {
			v = workers[i]
			workers = append(workers[:i], workers[i+1:]...)
		}
		if waits {
			k.waited++
		}
		if err := v.die(); err != nil {
			return err
		}
		if err := k.checkAlive(); err != nil {
			return err
		}
	}
	for len(workers) > 0 {
		if err := workers[0].die(); err != nil {
			return err
		}
		workers = workers[1:]
	}
	if err := idle.die(); err != nil {
		return err
	}
	idle = nil
	k.allow()
	return k.checkAfter(k.dir)
}

// checkAlive judges the file while others write it: what was acknowledged by
// now is there.
func (k *killing) checkAlive() error {
	k.mu.Lock()
	here := k.here.clone()
	k.mu.Unlock()
	data, err := os.ReadFile(filepath.Join(k.dir, "machines.json"))
	if os.IsNotExist(err) && len(here) == 0 {
		return nil
	}
	if err != nil {
		return err
	}
	f, err := parse(data)
	if err != nil {
		return err
	}
	for name := range here {
		if !f.names[name] {
			return fmt.Errorf("%w: %q is not among %d at revision %d", errLost, name, len(f.names), f.revision)
		}
	}
	return nil
}

// allow takes what is in the file and was not acknowledged as tried: the names
// tell who did it.
func (k *killing) allow() {
	data, err := os.ReadFile(filepath.Join(k.dir, "machines.json"))
	if err != nil {
		return
	}
	f, err := parse(data)
	if err != nil {
		return
	}
	for name := range f.names {
		if !k.here[name] && name[0] == 'w' {
			k.try(name)
		}
	}
}
