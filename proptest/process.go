package proptest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// Workers are the test binary itself, executed again with envWorker set. Main
// sees that and serves orders from standard input until it ends, which it also
// does when the tests die.

const envWorker = "MACHREG_PROPTEST_WORKER"

// registered are the subjects that workers can be told to open, and
// registeredWays the ways in which.
var (
	registered     map[string]New
	registeredWays []Way
)

// Main runs the tests of a test binary that uses [Processes]; TestMain calls it
// and exits with what it returns. subjects are those that other processes can
// open, by the names given to Processes; ways are those that are given to [Ways].
func Main(m *testing.M, subjects map[string]New, ways ...Way) int {
	registered, registeredWays = subjects, ways
	name, is := os.LookupEnv(envWorker)
	if !is {
		return m.Run()
	}
	if err := serve(subjects[name], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "proptest worker:", err)
		return 1
	}
	return 0
}

// message is what a worker is told. Exactly one member is set.
type message struct {
	Open  *openOrder `json:"open,omitempty"`
	Plan  *Plan      `json:"plan,omitempty"`
	Go    bool       `json:"go,omitempty"` // perform the plan
	Leave bool       `json:"leave,omitempty"`
}

type openOrder struct {
	Dir  string   `json:"dir"`
	Ways []string `json:"ways"` // one for each handle; see crew.open
}

// reply is the answer to every order; that to a plan means that the worker is
// ready to perform it.
type reply struct {
	Ops []Op   `json:"ops,omitempty"`
	Err string `json:"err,omitempty"`
}

// serve is a worker's life.
func serve(open New, in io.Reader, out io.Writer) error {
	if open == nil {
		return errors.New("no subject of that name")
	}
	orders, replies := json.NewDecoder(in), json.NewEncoder(out)
	own := &local{new: open, ways: registeredWays}
	var next Plan
	for {
		var o message
		if err := orders.Decode(&o); errors.Is(err, io.EOF) {
			return own.leave()
		} else if err != nil {
			return err
		}
		var r reply
		var err error
		switch {
		case o.Open != nil:
			err = own.open(o.Open.Dir, o.Open.Ways)
		case o.Plan != nil:
			next = *o.Plan
			err = own.ready()
		case o.Go:
			r.Ops, err = own.run([]Plan{next})
		case o.Leave:
			err = own.leave()
		}
		if err != nil {
			r.Err = err.Error()
		}
		if err := replies.Encode(r); err != nil {
			return err
		}
	}
}

// processes is a crew of several processes.
type processes struct{ workers []*worker }

type worker struct {
	cmd    *exec.Cmd
	in     io.WriteCloser
	orders *json.Encoder
	out    *json.Decoder
	errors strings.Builder
}

// startProcesses starts n workers that open the subject of that name.
func startProcesses(n int, name string) (_ *processes, err error) {
	if registered[name] == nil {
		return nil, fmt.Errorf("proptest: no subject is called %q: TestMain has to give it to proptest.Main", name)
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	c := &processes{}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.stop())
		}
	}()
	for range n {
		w := &worker{cmd: exec.Command(self)}
		w.cmd.Env = append(os.Environ(), envWorker+"="+name)
		w.cmd.Stderr = &w.errors
		if w.in, err = w.cmd.StdinPipe(); err != nil {
			return nil, err
		}
		out, err := w.cmd.StdoutPipe()
		if err != nil {
			return nil, err
		}
		w.orders, w.out = json.NewEncoder(w.in), json.NewDecoder(out)
		if err := w.cmd.Start(); err != nil {
			return nil, err
		}
		c.workers = append(c.workers, w)
	}
	return c, nil
}

// all gives every worker an order, and then awaits every reply.
func (c *processes) all(make func(i int) message) (ops []Op, err error) {
	for i, w := range c.workers {
		if err := w.orders.Encode(make(i)); err != nil {
			return nil, w.lost(err)
		}
	}
	for _, w := range c.workers {
		var r reply
		if err := w.out.Decode(&r); err != nil {
			return nil, w.lost(err)
		}
		if r.Err != "" {
			err = errors.Join(err, errors.New(r.Err))
		}
		ops = append(ops, r.Ops...)
	}
	return ops, err
}

func (w *worker) lost(err error) error {
	return fmt.Errorf("worker %d: %w %s", w.cmd.Process.Pid, err, w.errors.String())
}

func (c *processes) open(dir string, ways []string) error {
	each := len(ways) / len(c.workers)
	_, err := c.all(func(i int) message { return message{Open: &openOrder{dir, ways[i*each : (i+1)*each]}} })
	return err
}

// ready does nothing: a worker is ready when it has answered to its plan.
func (c *processes) ready() error { return nil }

func (c *processes) run(plans []Plan) ([]Op, error) {
	if _, err := c.all(func(i int) message { return message{Plan: &plans[i]} }); err != nil {
		return nil, err
	}
	return c.all(func(int) message { return message{Go: true} })
}

func (c *processes) leave() error {
	_, err := c.all(func(int) message { return message{Leave: true} })
	return err
}

// stop ends the workers by ending their input, and waits for them.
func (c *processes) stop() (err error) {
	for _, w := range c.workers {
		w.in.Close()
	}
	for _, w := range c.workers {
		if werr := w.cmd.Wait(); werr != nil {
			err = errors.Join(err, w.lost(werr))
		}
	}
	return err
}
