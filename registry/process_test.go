package registry_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/machreg/machreg/internal/lifeline"
)

// childRole makes the re-executed test binary run one of the programs below
// instead of tests.
const childRole = "REGISTRY_TEST_CHILD"

// longRun is set to have the stress tests run ten times as much.
var longRun = os.Getenv("MACHREG_LONG") != ""

// long is n, or ten times that in a long run.
func long(n int) int {
	if longRun {
		return 10 * n
	}
	return n
}

// programs are what a child process can be told to do. They report on standard
// output and do one step for each line that they read.
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

var childInput = bufio.NewReader(os.Stdin)

// awaitParent waits for the parent's next proceed, or for its end.
func awaitParent() error {
	_, err := childInput.ReadString('\n')
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// child is a process that runs one of the programs.
type child struct {
	t     testing.TB
	cmd   *exec.Cmd
	stdin io.WriteCloser
	lines *bufio.Reader
}

func startChild(t testing.TB, role string, args ...string) *child {
	t.Helper()
	return startCommand(t, childCommand(t, role, args...))
}

// childCommand is a child that is not started yet.
func childCommand(t testing.TB, role string, args ...string) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, args...)
	cmd.Env = append(os.Environ(), childRole+"="+role, "GORACE=atexit_sleep_ms=0")
	cmd.Stderr = os.Stderr
	return cmd
}

func startCommand(t testing.TB, cmd *exec.Cmd) *child {
	t.Helper()
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
	t.Cleanup(c.kill)
	return c
}

// line returns the child's next line, or false at the end of its output.
func (c *child) line() (string, bool) {
	line, err := c.lines.ReadString('\n')
	return strings.TrimSuffix(line, "\n"), err == nil
}

// read returns what follows word on the child's next line, which must begin
// with it.
func (c *child) read(word string) string {
	c.t.Helper()
	line, ok := c.line()
	got, rest, _ := strings.Cut(line, " ")
	if !ok || got != word {
		c.t.Fatalf("child says %q, want %q", line, word)
	}
	return rest
}

func (c *child) proceed() {
	c.t.Helper()
	if _, err := io.WriteString(c.stdin, "\n"); err != nil {
		c.t.Fatal(err)
	}
}

// wait ends the child's input and waits until it exits, which must be well.
func (c *child) wait() {
	c.t.Helper()
	c.stdin.Close()
	if err := c.cmd.Wait(); err != nil {
		c.t.Errorf("child: %v", err)
	}
}

// kill ends the child the hard way; after wait it does nothing. What the child
// said and nobody has read yet is lost.
func (c *child) kill() {
	c.cmd.Process.Kill()
	c.cmd.Wait()
}

// killAndRead ends the child the hard way and returns the lines that nobody has
// read yet.
func (c *child) killAndRead() (lines []string) {
	c.cmd.Process.Kill()
	for line, ok := c.line(); ok; line, ok = c.line() {
		lines = append(lines, line)
	}
	c.cmd.Wait()
	return lines
}
