package compare

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"sync"
	"time"
)

// member is one worker process, seen from the one that started it.
type member struct {
	process int
	cmd     *exec.Cmd
	in      io.WriteCloser
	orders  *json.Encoder
	news    *json.Decoder
	errors  strings.Builder
	stop    sync.Once
	wait    func() error  // until the process has ended; not before all it said was read
	gone    chan struct{} // closed when the process has ended
}

// hire starts a worker.
func hire(command func() *exec.Cmd, s spec) (*member, error) {
	m := &member{process: s.Process, cmd: command(), gone: make(chan struct{})}
	m.wait = sync.OnceValue(func() error {
		defer close(m.gone)
		return m.cmd.Wait()
	})
	m.cmd.Stderr = &m.errors
	in, err := m.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := m.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	m.in, m.orders, m.news = in, json.NewEncoder(in), json.NewDecoder(out)
	if err := m.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start worker: %w", err)
	}
	if err := m.orders.Encode(s); err != nil {
		return nil, m.lost(err)
	}
	return m, nil
}

// ready waits until the worker can start.
func (m *member) ready() error {
	var n news
	if err := m.news.Decode(&n); err != nil {
		return err
	}
	if n.Err != "" {
		return errors.New(n.Err)
	}
	return nil
}

func (m *member) start(window time.Duration) error { return m.orders.Encode(start{window}) }

// listen passes on what the worker measures until it is done or dead. done
// tells which.
func (m *member) listen(hear func(*tally)) (done bool, err error) {
	for {
		var n news
		if err := m.news.Decode(&n); err != nil {
			return false, err
		}
		if n.Tally != nil {
			hear(n.Tally)
		}
		if n.Done && n.Err != "" {
			return true, errors.New(n.Err)
		}
		if n.Done {
			return true, nil
		}
	}
}

// dismiss ends the worker's input, which ends its work.
func (m *member) dismiss() { m.stop.Do(func() { m.in.Close() }) }

// lost says what became of a worker that does not answer.
func (m *member) lost(err error) error {
	m.dismiss()
	m.cmd.Process.Kill()
	werr := m.wait()
	return fmt.Errorf("worker %d: %w; %w %s", m.process, err, werr, strings.TrimSpace(m.errors.String()))
}
