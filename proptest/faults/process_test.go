package faults_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/machreg/machreg/internal/lifeline"
	"github.com/machreg/machreg/registry"
)

// childRole makes the re-executed test binary run one of the programs below
// instead of tests.
const childRole = "MACHREG_FAULTS_CHILD"

// programs are what a child process can be told to do. They report on standard
// output.
var programs = map[string]func(args []string) error{}

// program adds one; it is called to initialize a variable.
func program(role string, run func(args []string) error) string {
	programs[role] = run
	return role
}

func TestMain(m *testing.M) {
	lifeline.Watch()
	role := os.Getenv(childRole)
	if role == "" {
		os.Exit(m.Run())
	}
	run, ok := programs[role]
	if !ok {
		fmt.Fprintf(os.Stderr, "no child program %q\n", role)
		os.Exit(2)
	}
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintf(os.Stderr, "child %s: %v\n", role, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// child is a process that runs one of the programs.
type child struct {
	cmd   *exec.Cmd
	stdin io.WriteCloser
	lines *bufio.Reader
	err   *strings.Builder // its standard error
}

// childCommand is a child that is not started yet. before is a program that
// runs it, with its arguments, or nothing.
func childCommand(before []string, role string, args ...string) (*exec.Cmd, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	all := append(append([]string{}, before...), exe)
	all = append(all, args...)
	cmd := exec.Command(all[0], all[1:]...)
	cmd.Env = append(os.Environ(), childRole+"="+role, "GORACE=atexit_sleep_ms=0")
	return cmd, nil
}

func startChild(role string, args ...string) (*child, error) {
	cmd, err := childCommand(nil, role, args...)
	if err == nil {
		err = lifeline.Tie(cmd)
	}
	if err != nil {
		return nil, err
	}
	return startCommand(cmd)
}

func startCommand(cmd *exec.Cmd) (*child, error) {
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	c := &child{cmd, stdin, bufio.NewReader(stdout), &strings.Builder{}}
	cmd.Stderr = c.err
	return c, cmd.Start()
}

// line returns the child's next line, or false at the end of its output. A line
// that was cut off by the child's death is not one.
func (c *child) line() (string, bool) {
	line, err := c.lines.ReadString('\n')
	return strings.TrimSuffix(line, "\n"), err == nil
}

// kill ends the child the hard way and waits until it is gone.
func (c *child) kill() {
	c.cmd.Process.Kill()
	c.cmd.Wait()
}

// roleWork adds machines PREFIX-0, PREFIX-1, … to the registry in a directory,
// as many as it is told, and reports what became of each:
//
//   - NAME REVISION   acknowledged
//     ~ NAME            committed, perhaps not durably
//     ? NAME            in doubt
//   - NAME ERROR      failed, and nothing was changed
//
// and, if the registry cannot be opened or closed, "! ERROR".
var roleWork = program("work", func(args []string) error {
	dir, prefix := args[0], args[1]
	count, err := strconv.Atoi(args[2])
	if err != nil {
		return err
	}
	r, err := registry.OpenMachines(filepath.Join(dir, "machines.json"), &registry.Options{
		LockTimeout:  workerPatience,
		PollInterval: 5 * time.Millisecond,
		Program:      "worker " + prefix,
	})
	if err != nil {
		fmt.Printf("! open %q\n", err)
		return nil
	}
	for i := range count {
		name := fmt.Sprintf("%s-%d", prefix, i)
		rev, err := r.Add(context.Background(), machineOf(name))
		switch {
		case err == nil:
			fmt.Printf("+ %s %d\n", name, rev)
			if m, err := r.Get(name); err != nil || m != machineOf(name) {
				return fmt.Errorf("own write %q reads %+v, %w", name, m, err)
			}
		case errors.Is(err, registry.ErrNotDurable):
			fmt.Printf("~ %s\n", name)
		case errors.Is(err, registry.ErrInDoubt):
			fmt.Printf("? %s\n", name)
		default:
			fmt.Printf("- %s %q\n", name, err)
		}
		if i%4 == 3 {
			if _, err := r.Latest(context.Background()); err != nil {
				fmt.Printf("! latest %q\n", err)
			}
		}
	}
	if err := r.Close(); err != nil {
		fmt.Printf("! close %q\n", err)
	}
	return allClosed(dir)
})

// allClosed demands that nothing in dir is open. Where the kernel refused to
// unlock a file, it is the garbage collector that closes it.
func allClosed(dir string) error {
	var open []string
	for range 100 {
		open = open[:0]
		for _, path := range descriptors() {
			if strings.HasPrefix(path, dir) {
				open = append(open, path)
			}
		}
		if len(open) == 0 {
			return nil
		}
		runtime.GC()
	}
	return fmt.Errorf("open after closing: %q", open)
}

// workerPatience is long enough for any turn among a few workers, and short
// enough for a test to see that a lock was never released.
const workerPatience = 10 * time.Second

// descriptors is what this process has open, where that can be told.
func descriptors() (open []string) {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return nil
	}
	for _, e := range entries {
		target, _ := os.Readlink(filepath.Join("/proc/self/fd", e.Name()))
		open = append(open, target)
	}
	return open
}

// reports are the lines of a worker, as they are entered into a ledger.
func (l *ledger) hear(line string) error {
	word, rest, _ := strings.Cut(line, " ")
	name, detail, _ := strings.Cut(rest, " ")
	switch word {
	case "+":
		rev, err := strconv.ParseUint(detail, 10, 64)
		l.note(registry.Revision(rev), nil, []string{name}, nil)
		return err
	case "~", "?":
		l.try(name)
	case "-":
		l.note(0, nil, nil, []string{name})
	case "!":
	default:
		return fmt.Errorf("worker says %q", line)
	}
	return nil
}

// checkAfter judges a registry directory in which nobody works any more, and
// what the next one finds: the next writer can write, and leaves nothing about.
func (l *ledger) checkAfter(dir string) error {
	path := filepath.Join(dir, "machines.json")
	data, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := l.check(data, false); err != nil {
		return err
	}
	r, err := registry.OpenMachines(path, &registry.Options{LockTimeout: workerPatience})
	if err != nil {
		return err
	}
	l.try("fresh")
	rev, err := r.Add(context.Background(), machineOf("fresh"))
	l.note(rev, err, []string{"fresh"}, nil)
	if err := errors.Join(err, r.Health(), r.Close()); err != nil {
		return fmt.Errorf("the next one: %w", err)
	}
	if data, err = os.ReadFile(path); err == nil {
		err = l.check(data, true)
	}
	if err != nil {
		return fmt.Errorf("the next one: %w", err)
	}
	return onlyRegistry(dir)
}

// onlyRegistry demands that a directory holds a registry, and that neither it nor
// its directory of locks, where new versions and pages are made, holds anything
// that a writer has left.
func onlyRegistry(dir string) error {
	for _, place := range []struct {
		dir   string
		names []string
	}{
		{dir, []string{"machines.json", ".gastown"}},
		{filepath.Join(dir, ".gastown"), []string{"locks", ".gitignore"}},
		{filepath.Join(dir, ".gastown", "locks"), []string{
			"machines.json.lock", "machines.json.lock.queue", "machines.json.lock.holder", "machines.json.page",
		}},
	} {
		entries, err := os.ReadDir(place.dir)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		for _, e := range entries {
			if !slices.Contains(place.names, e.Name()) {
				return fmt.Errorf("%q was left behind in %q", e.Name(), place.dir)
			}
		}
	}
	return nil
}
