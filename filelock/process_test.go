package filelock_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gofrs/flock"

	"github.com/machreg/machreg/filelock"
	"github.com/machreg/machreg/internal/lifeline"
)

// childRole makes a re-executed test binary act as one of the programs below
// instead of running tests.
const childRole = "FILELOCK_TEST_CHILD"

func TestMain(m *testing.M) {
	lifeline.Watch()
	role := os.Getenv(childRole)
	if role == "" {
		os.Exit(m.Run())
	}
	program, ok := children[role]
	if !ok {
		fmt.Fprintf(os.Stderr, "no child program %q\n", role)
		os.Exit(2)
	}
	if err := program(os.Args[1:]); err != nil {
		fmt.Fprintf(os.Stderr, "child %s: %v\n", role, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// A child reports on its standard output and does one step for each line that
// it reads.
var children = map[string]func(args []string) error{
	"hold":    childHold,
	"cycle":   childCycle,
	"compete": childCompete,
	"flock":   childFlock,
	"close":   childClose,
}

var childInput = bufio.NewReader(os.Stdin)

func awaitParent() error {
	_, err := childInput.ReadString('\n')
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// childHold acquires PATH in MODE within TIMEOUT, says what came of it, and holds
// until told otherwise.
func childHold(args []string) error {
	path, mode := args[0], args[1]
	timeout, err := time.ParseDuration(args[2])
	if err != nil {
		return err
	}
	l := filelock.New(path, &filelock.Options{Program: "child hold"})
	acquire := l.LockTimeout
	if mode == "shared" {
		acquire = l.RLockTimeout
	}
	before := cpuTime()
	start := time.Now()
	fmt.Println("acquiring")
	h, err := acquire(context.Background(), timeout)
	now := time.Now()
	if err != nil {
		fmt.Printf("error %v\n", err)
		return nil
	}
	fmt.Printf("held %d %d %d\n", now.UnixNano(), now.Sub(start), cpuTime()-before)
	if err := awaitParent(); err != nil {
		return err
	}
	return h.Unlock()
}

// childFlock locks the files at PATH... and leaves no record.
func childFlock(paths []string) error {
	for _, path := range paths {
		f := flock.New(path)
		if err := f.Lock(); err != nil {
			return err
		}
		defer f.Unlock()
	}
	fmt.Println("locked")
	return awaitParent()
}

// childClose closes the lock at PATH and says what came of it.
func childClose(args []string) error {
	fmt.Printf("closed %v\n", filelock.New(args[0], nil).Close())
	return nil
}

// childCycle acquires PATH and removes it N times, with the identity check or
// without, and counts how often somebody else was inside: whoever is inside owns
// the file OCCUPIED.
func childCycle(args []string) error {
	path, occupied, check := args[0], args[1], args[2]
	n, err := strconv.Atoi(args[3])
	if err != nil {
		return err
	}
	if check == "unchecked" {
		filelock.SetIdentityCheckOff()
	}
	fmt.Println("ready")
	if err := awaitParent(); err != nil {
		return err
	}
	l := filelock.New(path, nil)
	var intruders int
	for range n {
		h, err := l.Lock(context.Background())
		if err != nil {
			return err
		}
		f, err := os.OpenFile(occupied, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		switch {
		case errors.Is(err, fs.ErrExist):
			intruders++
		case err != nil:
			return err
		default:
			f.Close()
			if err := os.Remove(occupied); err != nil {
				return err
			}
		}
		if err := h.UnlockAndRemove(); err != nil && check == "checked" {
			return err
		}
	}
	fmt.Printf("cycles %d %d\n", n, intruders)
	return nil
}

// childCompete acquires PATH again and again for a DURATION, works each time, and
// reports how often it got it and the median, 99th percentile and longest of its
// waits. The WORK is to compute, to synchronize a file, or to read, which is to
// hold the lock shared and do nothing.
func childCompete(args []string) error {
	path, turnstile, work := args[0], args[1], args[2]
	duration, err := time.ParseDuration(args[3])
	if err != nil {
		return err
	}
	const hold = 500 * time.Microsecond
	if turnstile == "off" {
		filelock.SetTurnstileOff()
	}
	scratch, err := os.CreateTemp("", "compete")
	if err != nil {
		return err
	}
	defer os.Remove(scratch.Name())
	fmt.Println("ready")
	if err := awaitParent(); err != nil {
		return err
	}
	l := filelock.New(path, nil)
	acquire := l.Lock
	if work == "read" {
		acquire = l.RLock
	}
	var waits []time.Duration
	for end := time.Now().Add(duration); len(waits) == 0 || time.Now().Before(end); {
		h, err := acquire(context.Background())
		if err != nil {
			return err
		}
		waits = append(waits, h.Waited())
		switch work {
		case "compute":
			for done := time.Now().Add(hold); time.Now().Before(done); {
			}
		case "sync":
			if _, err := scratch.WriteAt([]byte(time.Now().String()), 0); err != nil {
				return err
			}
			if err := scratch.Sync(); err != nil {
				return err
			}
		case "read":
			time.Sleep(hold)
		}
		if err := h.Unlock(); err != nil {
			return err
		}
	}
	slices.Sort(waits)
	n := len(waits)
	fmt.Printf("competed %d %d %d %d\n", n, waits[n/2], waits[n*99/100], waits[n-1])
	return nil
}

type child struct {
	t     testing.TB
	cmd   *exec.Cmd
	stdin io.WriteCloser
	lines *bufio.Reader
}

func startChild(t testing.TB, role string, args ...string) *child {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return start(t, exec.Command(exe, args...), role)
}

func start(t testing.TB, cmd *exec.Cmd, role string) *child {
	t.Helper()
	cmd.Env = append(os.Environ(), childRole+"="+role, "GORACE=atexit_sleep_ms=0")
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
	c := &child{t, cmd, stdin, bufio.NewReader(stdout)}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	return c
}

// read returns what follows word on the child's next line, which must begin with it.
func (c *child) read(word string) string {
	c.t.Helper()
	line, err := c.lines.ReadString('\n')
	if err != nil {
		c.t.Fatalf("reading from child: %v, after %q", err, line)
	}
	got, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
	if got != word {
		c.t.Fatalf("child says %q, want %q", line, word)
	}
	return rest
}

// numbers is read for a line of integers.
func (c *child) numbers(word string) []int64 {
	c.t.Helper()
	var ns []int64
	for f := range strings.FieldsSeq(c.read(word)) {
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			c.t.Fatal(err)
		}
		ns = append(ns, n)
	}
	return ns
}

func (c *child) proceed() {
	c.t.Helper()
	if _, err := io.WriteString(c.stdin, "\n"); err != nil {
		c.t.Fatal(err)
	}
}

// startHolder starts a process that holds the lock at path.
func startHolder(t testing.TB, path, mode string) *child {
	t.Helper()
	c := startChild(t, "hold", path, mode, "10s")
	c.read("acquiring")
	c.read("held")
	return c
}

func (c *child) wait() {
	c.t.Helper()
	c.stdin.Close()
	if err := c.cmd.Wait(); err != nil {
		c.t.Fatalf("child: %v", err)
	}
}
