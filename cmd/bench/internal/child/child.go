// Package child runs parts of a benchmark in other processes, by executing
// this program again. Parent and child speak in lines of JSON over the child's
// standard input and output.
package child

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
)

// roleVariable tells a process that it is a child, and what to do.
const roleVariable = "MACHREG_BENCH_ROLE"

// Role is what a child does. It ends when the function returns.
type Role func(parent *Conn) error

// Main makes this process a child if it was started as one, and then does not
// return. It must be called first in main and in TestMain.
func Main(roles map[string]Role) {
	name := os.Getenv(roleVariable)
	if name == "" {
		return
	}
	role, ok := roles[name]
	if !ok {
		fmt.Fprintf(os.Stderr, "child: unknown role %q\n", name)
		os.Exit(2)
	}
	if err := role(newConn(os.Stdin, os.Stdout)); err != nil {
		fmt.Fprintf(os.Stderr, "child %s: %v\n", name, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// Conn is one end of the conversation. It belongs to one goroutine, except
// that one may send while another receives.
type Conn struct {
	in  *json.Decoder
	out *json.Encoder
}

func newConn(r io.Reader, w io.Writer) *Conn {
	return &Conn{json.NewDecoder(bufio.NewReader(r)), json.NewEncoder(w)}
}

// Send writes one message.
func (c *Conn) Send(v any) error { return c.out.Encode(v) }

// Receive waits for the next message; [io.EOF] if the other end is done.
func (c *Conn) Receive(v any) error { return c.in.Decode(v) }

// Process is a child as its parent sees it.
type Process struct {
	*Conn
	cmd   *exec.Cmd
	stdin io.Closer
}

// Start runs a child in a role and sends it spec as its first message.
func Start(role string, spec any) (*Process, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), roleVariable+"="+role)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &Process{newConn(out, in), cmd, in}
	if err := p.Send(spec); err != nil {
		return nil, errors.Join(err, p.Kill())
	}
	return p, nil
}

// Ask sends one message and waits for the answer.
func (p *Process) Ask(question, answer any) error {
	if err := p.Send(question); err != nil {
		return err
	}
	return p.Receive(answer)
}

// Close ends the child's input, which every role takes as the sign to end, and
// waits until it has.
func (p *Process) Close() error {
	p.stdin.Close()
	return p.cmd.Wait()
}

// Kill ends a child that is of no use any more.
func (p *Process) Kill() error {
	p.cmd.Process.Kill()
	p.cmd.Wait()
	return nil
}
