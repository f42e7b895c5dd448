//go:build unix

package faults_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/machreg/machreg/filelock"
	"github.com/machreg/machreg/registry"
)

func open(dir string) (*registry.MachineRegistry, error) {
	return registry.OpenMachines(filepath.Join(dir, "machines.json"), &registry.Options{LockTimeout: workerPatience})
}

// roleAdd adds one machine. Unlike a worker it does not look whether all that it
// opened is closed: a wait that it has given up may still be open.
var roleAdd = program("add", func(args []string) error {
	r, err := open(args[0])
	if err != nil {
		return err
	}
	if _, err := r.Add(context.Background(), machineOf(args[1])); err != nil {
		return err
	}
	fmt.Println("added")
	return r.Close()
})

// roleAtLeast waits for a revision.
var roleAtLeast = program("at least", func(args []string) error {
	r, err := open(args[0])
	if err != nil {
		return err
	}
	rev, err := strconv.ParseUint(args[1], 10, 64)
	if err != nil {
		return err
	}
	fmt.Println("waiting")
	if _, err := r.AtLeast(context.Background(), registry.Revision(rev)); err != nil {
		return err
	}
	fmt.Println("seen")
	return r.Close()
})

// roleWatch waits for the change that adds a machine.
var roleWatch = program("watch", func(args []string) error {
	r, err := open(args[0])
	if err != nil {
		return err
	}
	changes := r.Watch(context.Background()) // from here on
	fmt.Println("waiting")
	for change, err := range changes {
		if err != nil {
			return err
		}
		for _, item := range change.Added {
			if item.Name == args[1] {
				fmt.Println("seen")
				return r.Close()
			}
		}
	}
	return nil
})

// roleRepair opens and closes the registry until the end of its input. Each time
// there is no page, so that it makes one.
var roleRepair = program("repair", func(args []string) error {
	fmt.Println("waiting")
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		bufio.NewReader(os.Stdin).ReadString('\n')
	}()
	for {
		select {
		case <-ended:
			fmt.Println("seen")
			return nil
		default:
		}
		os.Remove(filepath.Join(args[0], ".gastown", "locks", "machines.json.page"))
		r, err := open(args[0])
		if err == nil {
			err = r.Close()
		}
		if err != nil {
			return err
		}
	}
})

// awaitWaiter returns when the process waits for a lock on the file at path.
func awaitWaiter(t testing.TB, c *child, path string) {
	t.Helper()
	for start := time.Now(); ; time.Sleep(time.Millisecond) {
		if inode, waits := lockWaiters()[c.cmd.Process.Pid]; waits && inode == inodeOf(path) {
			return
		}
		if time.Since(start) > time.Minute {
			t.Fatalf("process %d does not come to wait for %q", c.cmd.Process.Pid, path)
		}
	}
}

// fates are what can befall a process that waits.
var fates = []struct {
	name   string
	signal syscall.Signal
}{{"stopped", syscall.SIGSTOP}, {"killed", syscall.SIGKILL}}

// meets lets a fate befall c, and returns what ends it: a process that was
// stopped goes on, and must say the words.
func meets(t *testing.T, c *child, signal syscall.Signal) (end func(words string)) {
	t.Helper()
	pid := c.cmd.Process.Pid
	if err := syscall.Kill(pid, signal); err != nil {
		t.Fatal(err)
	}
	if signal == syscall.SIGKILL {
		c.cmd.Wait()
		return func(string) {}
	}
	awaitStopped(t, pid)
	return func(words string) {
		t.Helper()
		if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
			t.Fatal(err)
		}
		c.expect(t, words)
		if err := c.cmd.Wait(); err != nil {
			t.Errorf("the process that was stopped: %v: %s", err, c.err)
		}
	}
}

// expect reads one line, which must begin so.
func (c *child) expect(t *testing.T, words string) {
	t.Helper()
	if line, _ := c.line(); !strings.HasPrefix(line, words) {
		t.Errorf("process says %q, want %q: %s", line, words, c.err)
	}
}

func mustStart(t *testing.T, role string, args ...string) *child {
	t.Helper()
	c, err := startChild(role, args...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.kill)
	return c
}

// shortPatience is what a caller may have who does not wait long: a context, or
// --lock-timeout.
const shortPatience = 900 * time.Millisecond

// goesOn demands that the lock is free for everybody else: writes are made by
// those too who have little patience.
func goesOn(t *testing.T, dir string, l *ledger, prefix string) {
	t.Helper()
	r, err := open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for i := range 3 {
		name := fmt.Sprintf("%s-%d", prefix, i)
		ctx, cancel := context.WithTimeout(t.Context(), shortPatience)
		l.try(name)
		rev, err := r.Add(ctx, machineOf(name))
		cancel()
		l.note(rev, err, []string{name}, nil)
		if err != nil {
			t.Errorf("write %d with a patience of %v: %v", i, shortPatience, err)
		}
	}
	if _, err := r.Latest(t.Context()); err != nil {
		t.Errorf("Latest: %v", err)
	}
}

// Processes that wait for the lock and for the turnstile before it, one of which
// is stopped or killed there: the others go on, and nothing is lost.
func TestHostile_StoppedOrKilledAtTheLock(t *testing.T) {
	if lockWaiters() == nil {
		t.Skip("this system does not tell who waits for a lock")
	}
	for _, fate := range fates {
		for i, place := range []string{"lock", "turnstile"} {
			t.Run(fate.name+" at the "+place, func(t *testing.T) {
				err := inDirectory(func(dir string) {
					l := begun(t, dir)
					path := filepath.Join(dir, ".gastown", "locks", "machines.json.lock")
					held, err := filelock.New(path, nil).Lock(t.Context())
					if err != nil {
						t.Fatal(err)
					}
					names := [2]string{"first", "second"}
					waiting := [2]*child{mustStart(t, roleAdd, dir, names[0]), nil}
					awaitWaiter(t, waiting[0], path)
					waiting[1] = mustStart(t, roleAdd, dir, names[1])
					awaitWaiter(t, waiting[1], path+".queue")
					victim, other := waiting[i], waiting[1-i]
					l.try(names[0], names[1])
					l.together = nil
					end := meets(t, victim, fate.signal)
					if err := held.Unlock(); err != nil {
						t.Fatal(err)
					}
					goesOn(t, dir, l, "meanwhile")
					other.expect(t, "added")
					l.note(0, nil, names[1-i:2-i], nil)
					if err := other.cmd.Wait(); err != nil {
						t.Errorf("the other process: %v: %s", err, other.err)
					}
					end("added")
					if fate.signal == syscall.SIGSTOP {
						l.note(0, nil, names[i:i+1], nil)
					}
					if err := l.checkAfter(dir); err != nil {
						t.Error(err)
					}
				})
				if err != nil {
					t.Fatal(err)
				}
			})
		}
	}
}

// begun is a registry with one machine.
func begun(t *testing.T, dir string) *ledger {
	t.Helper()
	r, err := open(dir)
	if err == nil {
		_, err = r.Add(t.Context(), machineOf("one"))
		err = errors.Join(err, r.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	return newLedger("one")
}

// Processes that wait for others' writes: they keep nobody waiting, and who was
// only stopped gets to see what it waited for.
func TestHostile_StoppedOrKilledWaitingForWrites(t *testing.T) {
	for _, fate := range fates {
		for _, place := range []struct{ name, role, arg string }{
			{"AtLeast", roleAtLeast, "4"},
			{"Watch", roleWatch, "meanwhile-1"},
		} {
			t.Run(fate.name+" in "+place.name, func(t *testing.T) {
				err := inDirectory(func(dir string) {
					l := begun(t, dir)
					c := mustStart(t, place.role, dir, place.arg)
					c.expect(t, "waiting")
					end := meets(t, c, fate.signal)
					goesOn(t, dir, l, "meanwhile")
					end("seen")
					if err := l.checkAfter(dir); err != nil {
						t.Error(err)
					}
				})
				if err != nil {
					t.Fatal(err)
				}
			})
		}
	}
}

// A process that makes the page is stopped or killed at some moment of it. Who
// is stopped may hold the lock; who is killed leaves nothing.
func TestHostile_StoppedOrKilledRepairingThePage(t *testing.T) {
	rng := random(t)
	for _, fate := range fates {
		t.Run(fate.name, func(t *testing.T) {
			err := inDirectory(func(dir string) {
				l := begun(t, dir)
				for i := range 20 {
					c := mustStart(t, roleRepair, dir)
					c.expect(t, "waiting")
					time.Sleep(time.Duration(rng.Int64N(int64(3 * time.Millisecond))))
					end := meets(t, c, fate.signal)
					if fate.signal == syscall.SIGKILL {
						goesOn(t, dir, l, fmt.Sprint("round-", i))
					}
					fmt.Fprintln(c.stdin)
					end("seen")
					if err := l.checkAfter(dir); err != nil {
						t.Fatalf("after round %d: %v", i, err)
					}
				}
			})
			if err != nil {
				t.Fatal(err)
			}
		})
	}
}
