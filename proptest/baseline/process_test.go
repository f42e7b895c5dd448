package baseline_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/machreg/machreg/internal/lifeline"
	"github.com/machreg/machreg/proptest/baseline"
)

// childRole makes a re-executed test binary add machines instead of running
// tests.
const childRole = "BASELINE_TEST_CHILD"

func TestMain(m *testing.M) {
	lifeline.Watch()
	if os.Getenv(childRole) == "" {
		os.Exit(m.Run())
	}
	if err := childAdd(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// machine is one whose content follows from its name.
func machine(name string) baseline.Machine {
	return baseline.Machine{Name: name, Type: "ssh", Host: name, TownPath: "/" + name}
}

// childAdd adds machines named after PROCESS from several goroutines through
// one handle, and prints the name of each that was acknowledged.
func childAdd(args []string) error {
	var process, goroutines, adds int
	var lock baseline.LockKind
	if _, err := fmt.Sscan(strings.Join(args[1:], " "), &process, &goroutines, &adds, &lock); err != nil {
		return err
	}
	r := baseline.New(args[0], &baseline.Options{Lock: lock})
	fmt.Println("ready")
	if _, err := bufio.NewReader(os.Stdin).ReadString('\n'); err != nil {
		return err
	}
	out := bufio.NewWriter(os.Stdout)
	var mu sync.Mutex // guards out
	var wg sync.WaitGroup
	for g := range goroutines {
		wg.Go(func() {
			for i := range adds {
				m := machine(fmt.Sprintf("p%d-g%d-%d", process, g, i))
				err := r.Add(&m)
				mu.Lock()
				if err == nil {
					fmt.Fprintln(out, "added", m.Name)
				} else {
					fmt.Fprintln(out, "error", err)
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return out.Flush()
}

// result is what came of many adds.
type result struct {
	tried, acknowledged, lost int
	errors                    []string
}

func (r result) String() string {
	s := fmt.Sprintf("%d of %d acknowledged adds lost, %d adds failed", r.lost, r.acknowledged, r.tried-r.acknowledged)
	if len(r.errors) > 0 {
		s += ", the first with: " + r.errors[0]
	}
	return s
}

// addFromProcesses lets processes add at the same time and counts what is not in
// the file afterwards though its add succeeded.
func addFromProcesses(t *testing.T, lock baseline.LockKind, processes, goroutines, adds int) result {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	path := newPath(t)
	type child struct {
		cmd   *exec.Cmd
		lines *bufio.Scanner
		start func()
	}
	var children []child
	for p := range processes {
		cmd := exec.Command(exe, path, fmt.Sprint(p), fmt.Sprint(goroutines), fmt.Sprint(adds), fmt.Sprint(int(lock)))
		cmd.Env = append(os.Environ(), childRole+"=1")
		cmd.Stderr = os.Stderr
		if err := lifeline.Tie(cmd); err != nil {
			t.Fatal(err)
		}
		stdin, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		stdout, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			cmd.Process.Kill()
			cmd.Wait()
		})
		c := child{cmd, bufio.NewScanner(stdout), func() { fmt.Fprintln(stdin) }}
		if !c.lines.Scan() || c.lines.Text() != "ready" {
			t.Fatalf("child says %q, want ready", c.lines.Text())
		}
		children = append(children, c)
	}
	for _, c := range children {
		c.start()
	}
	got := result{tried: processes * goroutines * adds}
	var acknowledged []string
	for _, c := range children {
		for c.lines.Scan() {
			word, rest, _ := strings.Cut(c.lines.Text(), " ")
			switch word {
			case "added":
				acknowledged = append(acknowledged, rest)
			case "error":
				got.errors = append(got.errors, rest)
			default:
				t.Fatalf("child says %q", c.lines.Text())
			}
		}
		if err := c.cmd.Wait(); err != nil {
			t.Fatal(err)
		}
	}
	got.acknowledged = len(acknowledged)
	if got.acknowledged+len(got.errors) != got.tried {
		t.Fatalf("%d adds and %d errors are reported, want %d", got.acknowledged, len(got.errors), got.tried)
	}
	r := open(t, path, baseline.CorrectLock)
	for _, name := range acknowledged {
		m, err := r.Get(name)
		if err != nil {
			got.lost++
		} else if *m != machine(name) {
			t.Errorf("machine %q is %+v", name, *m)
		}
	}
	return got
}

// TestCorrectLockLosesNothing is the workload in which the published
// implementation lost 69 of 1600 adds; MACHREG_LONG=1 runs it in full. Every add
// rewrites the file, so the time grows with the square of their number.
func TestCorrectLockLosesNothing(t *testing.T) {
	adds := 20
	switch {
	case os.Getenv("MACHREG_LONG") == "1":
		adds = 50
	case testing.Short():
		adds = 5
	}
	got := addFromProcesses(t, baseline.CorrectLock, 4, 8, adds)
	t.Log(got)
	if got.lost != 0 || got.acknowledged != got.tried {
		t.Errorf("%v; want none of either", got)
	}
}
