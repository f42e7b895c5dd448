package compare

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"
)

// round is one contestant at work for one window, on a new registry.
type round struct {
	workload *Workload
	name     string // the contestant's
	number   int
	dir      string
	command  func() *exec.Cmd
	random   *rand.Rand

	begun time.Time

	members []*member
	kills   int

	mu     sync.Mutex // guards what follows
	killed map[*member]bool
	total  tally
	err    error
}

// roundResult is what came of a round.
type roundResult struct {
	tally   tally
	account account
	stale   Histogram // of all samples
	fresh   uint64    // of them, how many were not stale
	kills   int
	elapsed time.Duration
}

func (r *round) path() string { return filepath.Join(r.dir, "registry", "machines.json") }

// run lets the contestant work until the window is over or ctx ends, and
// settles the account.
func (r *round) run(ctx context.Context) (_ *roundResult, err error) {
	if err := os.MkdirAll(filepath.Dir(r.path()), 0o755); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(r.dir)) }()
	if err := writeContents(r.path(), r.workload.Machines); err != nil {
		return nil, err
	}
	r.killed = make(map[*member]bool)
	if err := r.gather(); err != nil {
		return nil, err
	}
	elapsed, err := r.perform(ctx)
	if err != nil {
		return nil, err
	}
	return r.settle(elapsed)
}

func (r *round) spec(process int) spec {
	return spec{
		Contestant: r.name, Path: r.path(), Journal: r.dir, Process: process,
		// The same for every contestant: they are given the same work.
		Seed: r.workload.Seed + uint64(r.number), Workload: *r.workload,
	}
}

// gather starts all workers and waits until every one is ready.
func (r *round) gather() (err error) {
	for p := range r.workload.Processes {
		m, herr := hire(r.command, r.spec(p))
		if herr != nil {
			err = herr
			break
		}
		r.members = append(r.members, m)
	}
	for _, m := range r.members {
		if err != nil {
			break
		}
		if err = m.ready(); err != nil {
			err = m.lost(err)
		}
	}
	if err != nil {
		for _, m := range r.members {
			m.dismiss() // which ends it, ready or not
			m.wait()
		}
	}
	return err
}

// perform is the window itself. It returns how long it was, which is less than
// planned if ctx ends.
func (r *round) perform(ctx context.Context) (time.Duration, error) {
	window := r.workload.window()
	var working sync.WaitGroup
	r.begun = time.Now()
	for _, m := range r.members {
		if err := m.start(window); err != nil {
			r.fail(m.lost(err))
			continue
		}
		working.Go(func() { r.follow(m) })
	}
	timer := time.NewTimer(window)
	defer timer.Stop()
	killing, stopKilling := context.WithCancel(ctx)
	var reaper sync.WaitGroup
	if r.workload.Kill > 0 {
		reaper.Go(func() { r.kill(killing, &working) })
	}
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
	elapsed := min(time.Since(r.begun), window)
	stopKilling()
	reaper.Wait()
	for _, m := range r.members {
		if ctx.Err() != nil {
			m.dismiss()
		}
	}
	working.Wait()
	return elapsed, r.err
}

// follow hears a worker out.
func (r *round) follow(m *member) {
	done, err := m.listen(func(t *tally) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.total.merge(t)
	})
	m.dismiss()
	werr := m.wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.killed[m] {
		werr = nil // even if it was done: it may be killed between its last word and its end
		if !done {
			err = nil
		}
	}
	if err = errors.Join(err, werr); err != nil {
		r.err = errors.Join(r.err, fmt.Errorf("worker %d: %w %s", m.process, err, m.errors.String()))
	}
}

func (r *round) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.err = errors.Join(r.err, err)
}

// kill kills workers at random times and starts others in their place, until
// ctx ends.
func (r *round) kill(ctx context.Context, working *sync.WaitGroup) {
	for {
		pause := time.Duration(r.random.ExpFloat64() * float64(r.workload.Kill))
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
		i := r.random.IntN(len(r.members))
		old := r.members[i]
		r.mu.Lock()
		r.killed[old] = true
		r.mu.Unlock()
		if old.cmd.Process.Kill() == nil {
			r.kills++
		}
		<-old.gone
		if r.left() <= 0 {
			return
		}
		m, err := hire(r.command, r.spec(i))
		if err != nil {
			r.fail(err)
			return
		}
		if err := m.ready(); err != nil {
			r.fail(m.lost(err))
			return
		}
		if err := m.start(max(0, r.left())); err != nil {
			r.fail(m.lost(err))
			return
		}
		r.members[i] = m
		working.Go(func() { r.follow(m) })
	}
}

// left is how much of the window remains.
func (r *round) left() time.Duration { return r.workload.window() - time.Since(r.begun) }

// settle holds what the workers noted against the file.
func (r *round) settle(elapsed time.Duration) (*roundResult, error) {
	past, err := readJournals(r.dir, r.workload.Processes)
	if err != nil {
		return nil, err
	}
	file, mixed, err := readContents(r.path(), r.workload.Machines)
	if err != nil {
		return nil, err
	}
	res := &roundResult{tally: r.total, account: judge(r.workload.Machines, past, file), kills: r.kills, elapsed: elapsed}
	res.account.Mixed = mixed + r.total.Mixed
	for _, s := range r.total.Samples {
		d := past.staleness(s)
		res.stale.Add(d)
		if d == 0 {
			res.fresh++
		}
	}
	res.tally.Samples = nil
	return res, nil
}
