package proptest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"

	"github.com/machreg/machreg/registry"
)

// crew performs plans: goroutines of this process, or of several.
type crew interface {
	// open opens the handles of everybody on the registry in dir.
	open(dir string, handles int) error
	// ready brings all handles up to date, so that the history that follows
	// stands for itself.
	ready() error
	// run performs one plan for each process, all at once.
	run(plans []Plan) ([]Op, error)
	// leave closes what open opened.
	leave() error
}

// local is the crew of one process.
type local struct {
	new     New
	handles []Subject
}

func (c *local) open(dir string, handles int) error {
	for range handles {
		h, err := c.new(dir)
		if err != nil {
			return errors.Join(err, c.leave())
		}
		c.handles = append(c.handles, h)
	}
	return nil
}

func (c *local) ready() (err error) {
	for _, h := range c.handles {
		if r, is := h.(Refresher); is {
			err = errors.Join(err, r.Refresh())
		}
	}
	return err
}

func (c *local) run(plans []Plan) ([]Op, error) { return perform(c.handles, plans[0]), nil }

func (c *local) leave() (err error) {
	for _, h := range c.handles {
		err = errors.Join(err, closeSubject(h))
	}
	c.handles = nil
	return err
}

// sitting is a series of histories of one crew. Several follow each other on
// one registry, so that opening it is not most of the work.
type sitting struct {
	config
	new   New
	stage string
	crew  crew
	shape shape
	can   capabilities
	done  int  // histories so far
	keep  bool // the history of a violation
}

const historiesPerRegistry = 20

// perRegistry is how many follow each other: only one if handles cannot be
// brought up to date before each.
func (s *sitting) perRegistry() int {
	if s.shared && !s.can.refresher {
		return 1
	}
	return historiesPerRegistry
}

// run performs and judges histories as long as more says so. It returns the
// first that is not as it should be.
func (s *sitting) run(more func() bool) *Violation {
	for more() {
		v, err := s.onOneRegistry(more)
		if err != nil {
			v = &Violation{Stage: s.stage, Checks: s.done, Err: err}
		}
		if v != nil {
			return v
		}
	}
	return nil
}

func (s *sitting) onOneRegistry(more func() bool) (v *Violation, err error) {
	dir, err := os.MkdirTemp("", "machreg-proptest-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	if err := s.crew.open(dir, s.shape.handles); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.crew.leave()) }()

	h := History{Seed: seed(), Versioned: s.can.versioned, State: make(map[string]string)}
	for i := 0; i < s.perRegistry() && more(); i++ {
		h.Number = s.done
		s.done++
		random := rand.New(rand.NewPCG(seed(), uint64(h.Number)))
		if err := s.crew.ready(); err != nil {
			return nil, err
		}
		if h.Ops, err = s.crew.run(plan(random, s.shape, h.Number, s.can)); err != nil {
			return nil, err
		}
		final, err := s.final(dir)
		if err == nil {
			h.Ops = append(h.Ops, final)
			err = h.Check()
		}
		if err != nil {
			v := &Violation{Stage: s.stage, Checks: s.done, Err: err}
			if s.keep {
				v.keep(&h)
			}
			return v, nil
		}
		h.Revision, h.State = final.Revision, final.Reads
	}
	return nil, nil
}

// final reads everything when everybody is done, through a handle that has
// taken no part, if there can be one, and compares it with the file.
func (s *sitting) final(dir string) (op Op, err error) {
	op = Op{Client: 99, Handle: -1, Kind: Final, Ranged: true}
	var h Subject
	if l, is := s.crew.(*local); is && !s.shared {
		h = l.handles[0]
	} else {
		if h, err = s.new(dir); err != nil {
			return op, err
		}
		defer func() { err = errors.Join(err, closeSubject(h)) }()
	}
	op.Call = now()
	list := h.List()
	if v, is := h.(Versioned); is {
		op.Revision = v.Revision()
	}
	op.Return = now()
	op.Reads = idsOf(list)
	if s.file != "" {
		return op, sameAsFile(filepath.Join(dir, s.file), list)
	}
	return op, nil
}

// sameAsFile compares a list with what encoding/json finds in the file.
func sameAsFile(path string, list []registry.Machine) error {
	data, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) && len(list) == 1 {
		return nil
	}
	if err != nil {
		return err
	}
	p, err := parseFile(data)
	if err != nil {
		return fmt.Errorf("file: %w", err)
	}
	for _, m := range list {
		raw, there := p.entries[m.Name]
		if !there {
			return fmt.Errorf("the file lacks %q, which a new handle lists", m.Name)
		}
		if err := checkEntry(raw, entry{machine: m}); err != nil {
			return fmt.Errorf("file: entry %q: %w", m.Name, err)
		}
	}
	if len(list) != len(p.entries) {
		return fmt.Errorf("the file has %d entries, a new handle lists %d", len(p.entries), len(list))
	}
	return nil
}
