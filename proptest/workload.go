package proptest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"

	"github.com/machreg/machreg/registry"
)

// Step is one operation to be performed.
type Step struct {
	Kind   Kind   `json:"kind"`
	Handle int    `json:"handle"` // of this process
	Name   string `json:"name,omitempty"`
	ID     string `json:"id,omitempty"` // of the value to write
	Other  string `json:"other,omitempty"`
	Absent bool   `json:"absent,omitempty"`
	At     bool   `json:"at,omitempty"` // on condition of the handle's revision
	Ranged bool   `json:"ranged,omitempty"`
}

// Plan is the work of one process: the steps of each goroutine.
type Plan struct {
	First int      `json:"first"` // the number of the first client
	Base  int      `json:"base"`  // the number of the first handle
	Steps [][]Step `json:"steps"`
}

// shape is the size of a history.
type shape struct {
	processes, handles, clients, steps int // handles, clients: each process's
}

var keys = []string{"k0", "k1", "k2", "k3"}

// plan makes a history's plans for all processes.
func plan(random *rand.Rand, s shape, number int, can capabilities) []Plan {
	plans := make([]Plan, s.processes)
	client := 0
	for p := range plans {
		plans[p] = Plan{First: client, Base: p * s.handles, Steps: make([][]Step, s.clients)}
		for c := range plans[p].Steps {
			for i := range s.steps {
				step := drawStep(random, can)
				step.Handle = random.IntN(s.handles)
				step.ID = valueID(number, client, i)
				plans[p].Steps[c] = append(plans[p].Steps[c], step)
			}
			client++
		}
	}
	return plans
}

// drawStep mixes writes and reads about evenly.
func drawStep(random *rand.Rand, can capabilities) Step {
	kinds := []Kind{Add, Add, Add, Remove, Get, List}
	if can.versioned {
		kinds = append(kinds, Add, Add, Snapshot, List)
	}
	if can.latest {
		kinds = append(kinds, ReadNew, ReadNew, ReadNew, ReadNew)
	}
	if can.refresher {
		kinds = append(kinds, Refresh)
	}
	if can.transactional && can.versioned {
		kinds = append(kinds, Commit, Commit, Commit, Update)
	}
	s := Step{Kind: kinds[random.IntN(len(kinds))], Name: keys[random.IntN(len(keys))]}
	s.Other = keys[random.IntN(len(keys))]
	if can.versioned {
		switch random.IntN(6) {
		case 0:
			s.Absent = s.Kind == Add
		case 1:
			s.At = s.Kind == Add || s.Kind == Remove
		}
	}
	s.Ranged = random.IntN(3) == 0
	return s
}

// perform runs a plan on the handles of this process and returns what happened,
// in no particular order.
func perform(handles []Subject, p Plan) []Op {
	start := make(chan struct{})
	results := make([][]Op, len(p.Steps))
	var clients sync.WaitGroup
	for i, steps := range p.Steps {
		clients.Go(func() {
			ops := make([]Op, 0, len(steps))
			<-start
			for _, s := range steps {
				op := Op{Client: p.First + i, Handle: p.Base + s.Handle, Kind: s.Kind, Name: s.Name}
				run(handles[s.Handle], s, &op)
				ops = append(ops, op)
			}
			results[i] = ops
		})
	}
	close(start)
	clients.Wait()
	var all []Op
	for _, ops := range results {
		all = append(all, ops...)
	}
	return all
}

func (o *Op) fail(err error) {
	if err != nil {
		o.Class, o.Error = string(classOf(err)), err.Error()
	}
}

// run performs one step and fills in op.
func run(h Subject, s Step, op *Op) {
	v, versioned := h.(Versioned)
	op.Call = now()
	defer func() {
		if op.Return == 0 {
			op.Return = now()
		}
	}()
	switch s.Kind {
	case Add, Remove:
		runWrite(h, s, op)
	case Get, List:
		op.Reads = make(map[string]string)
		if versioned {
			op.Before = v.Revision()
		}
		if s.Kind == Get {
			m, err := h.Get(s.Name)
			switch classOf(err) {
			case ok:
				op.Reads[s.Name] = idOf(s.Name, m)
			case notFound:
				op.Reads[s.Name] = ""
			default:
				op.fail(err)
			}
		} else {
			op.Reads, op.Ranged = idsOf(h.List()), true
		}
		if versioned {
			op.After = v.Revision()
		}
	case Refresh:
		if op.fail(h.(Refresher).Refresh()); versioned {
			op.After = v.Revision()
		}
	case Snapshot:
		view := v.Snapshot()
		op.Return = now()
		op.Revision, op.Reads, op.Ranged = view.Revision(), idsOfView(view), true
	case ReadNew:
		view, err := h.(Latest).Latest()
		op.Return = now()
		if op.fail(err); err == nil {
			op.Revision, op.Reads, op.Ranged = view.Revision(), idsOfView(view), true
		}
	case Commit:
		tx := h.(Transactional).Begin()
		op.Revision = tx.Revision()
		err := transact(tx, s, op)
		if err == nil {
			var r registry.Revision
			if r, err = tx.Commit(); err == nil {
				op.Revision = r
			}
		}
		op.fail(err)
	case Update:
		r, err := h.(Transactional).Update(func(tx Tx) error { return transact(tx, s, op) })
		op.Revision = r
		op.fail(err)
	default:
		op.fail(fmt.Errorf("unknown step %q", s.Kind))
	}
}

func runWrite(h Subject, s Step, op *Op) {
	v, versioned := h.(Versioned)
	var c Condition
	if versioned {
		c.Absent = s.Absent
		if s.At {
			r := v.Revision()
			c.At = &r
		}
		op.Absent, op.At = c.Absent, c.At
	}
	var err error
	switch {
	case s.Kind == Remove && versioned:
		op.Writes = map[string]string{s.Name: ""}
		op.Revision, err = v.Delete(s.Name, c)
	case s.Kind == Remove:
		op.Writes = map[string]string{s.Name: ""}
		err = h.Remove(s.Name)
	case versioned:
		op.Writes = map[string]string{s.Name: s.ID}
		op.Revision, err = v.Put(valueOf(s.Name, s.ID), c)
	default:
		op.Writes = map[string]string{s.Name: s.ID}
		err = h.Add(valueOf(s.Name, s.ID))
	}
	op.fail(err)
}

// transact reads two entries, or all, and writes them.
func transact(tx Tx, s Step, op *Op) error {
	op.Reads, op.Writes, op.Ranged = make(map[string]string), make(map[string]string), s.Ranged
	if s.Ranged {
		var list []registry.Machine
		for _, m := range tx.All() {
			list = append(list, m)
		}
		op.Reads = idsOf(list)
		// One entry only: the others must be validated although they are not
		// written.
		op.Writes[s.Name] = s.ID
		return tx.Put(valueOf(s.Name, s.ID))
	}
	for _, name := range []string{s.Name, s.Other} {
		m, err := tx.Get(name)
		switch {
		case err == nil:
			op.Reads[name] = idOf(name, m)
		case errors.Is(err, registry.ErrNotFound):
			op.Reads[name] = ""
		default:
			return err
		}
	}
	both := []string{s.Name, s.Other}
	if s.Name < s.Other { // and some that read what they do not write
		both = both[:1]
	}
	for _, name := range both {
		op.Writes[name] = s.ID
		if err := tx.Put(valueOf(name, s.ID)); err != nil {
			return err
		}
	}
	return nil
}
