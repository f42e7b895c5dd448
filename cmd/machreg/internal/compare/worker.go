package compare

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

// A worker is told what to do on its standard input: a spec, then, when
// everybody is ready, a line to start. The end of the input ends its work. On
// its standard output it says that it is ready, then what it has measured, and
// last that it is done.

type spec struct {
	Contestant string   `json:"contestant"`
	Path       string   `json:"path"`    // of the registry
	Journal    string   `json:"journal"` // directory
	Process    int      `json:"process"`
	Seed       uint64   `json:"seed"`
	Workload   Workload `json:"workload"`
}

type start struct {
	Window time.Duration `json:"window"`
}

type news struct {
	Ready bool   `json:"ready,omitempty"`
	Tally *tally `json:"tally,omitempty"`
	Done  bool   `json:"done,omitempty"`
	Err   string `json:"err,omitempty"`
}

// Serve is a worker process's life. It returns when its work is done or the
// input ends.
func Serve(in io.Reader, out io.Writer) error {
	orders, replies := json.NewDecoder(in), json.NewEncoder(out)
	w := worker{timer: newTimer(), tallies: make(chan *tally)}
	if err := orders.Decode(&w.spec); err != nil {
		return fmt.Errorf("compare worker: %w", err)
	}
	if err := w.open(); err != nil {
		return replies.Encode(news{Err: err.Error()})
	}
	if err := replies.Encode(news{Ready: true}); err != nil {
		return err
	}
	var s start
	if err := orders.Decode(&s); err != nil {
		return w.close() // called off
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		io.Copy(io.Discard, in)
		cancel()
	}()
	sent := w.send(replies)
	w.work(ctx, s.Window)
	close(w.tallies)
	last := news{Done: true}
	if err := errors.Join(<-sent, w.close()); err != nil {
		last.Err = err.Error()
	}
	return replies.Encode(last)
}

// worker is one process.
type worker struct {
	spec
	timer   timer
	handle  handle
	journal *journal
	past    history // of a process that was killed
	tallies chan *tally
}

func (w *worker) open() error {
	c, err := contestantNamed(w.Contestant)
	if err != nil {
		return err
	}
	w.past = make(history)
	if err := w.past.read(journalPath(w.Journal, w.Process)); err != nil {
		return err
	}
	if w.journal, err = openJournal(w.Journal, w.Process); err != nil {
		return err
	}
	w.handle, err = c.open(w.Path, &w.Workload)
	return err
}

func (w *worker) close() error { return errors.Join(w.handle.close(), w.journal.close()) }

// send passes on what the goroutines measure. The result is sent when tallies
// is closed.
func (w *worker) send(replies *json.Encoder) <-chan error {
	done := make(chan error, 1)
	go func() {
		var err error
		before := effort{}
		for t := range w.tallies {
			now := w.handle.effort()
			t.Effort, before = now.since(before), now
			if err == nil {
				err = replies.Encode(news{Tally: t})
			}
		}
		done <- err
	}()
	return done
}

// work runs the goroutines until the window is over or ctx ends.
func (w *worker) work(ctx context.Context, window time.Duration) {
	deadline := w.timer.now() + int64(window)
	var clients sync.WaitGroup
	for g := range w.Workload.Goroutines {
		clients.Go(func() { newClient(w, g, deadline).run(ctx) })
	}
	clients.Wait()
}
