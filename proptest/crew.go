package proptest

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"

	"github.com/machreg/machreg/registry"
)

// crew performs plans: goroutines of this process, or of several.
type crew interface {
	// open opens the handles of everybody on the registry in dir, each in the
	// way of that name, the subject's own if that is empty.
	open(dir string, ways []string) error
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
	ways    []Way
	handles []Subject
}

func (c *local) open(dir string, ways []string) error {
	for _, name := range ways {
		open, err := find(c.ways, name, c.new)
		if err != nil {
			return errors.Join(err, c.leave())
		}
		h, err := open(dir)
		if err != nil {
			err = fmt.Errorf("open a handle (%s): %w", name, err)
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
	ways := s.drawWays()
	names := make([]string, len(ways))
	for i, w := range ways {
		names[i] = w.Name
	}
	if err := s.crew.open(dir, names); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.crew.leave()) }()

	h := History{Seed: seed(), Versioned: s.can.versioned, State: make(map[string]string)}
	if s.ways != nil {
		h.Ways = names
	}
	for i := 0; i < s.perRegistry() && more(); i++ {
		h.Number = s.done
		s.done++
		random := rand.New(rand.NewPCG(seed(), uint64(h.Number)))
		if s.commitsOnly && random.IntN(3) == 0 {
			if err := h.edit(filepath.Join(dir, s.file)); err != nil {
				return nil, err
			}
		}
		if err := s.crew.ready(); err != nil {
			return nil, err
		}
		if h.Ops, err = s.crew.run(plan(random, s.shape, h.Number, s.can)); err != nil {
			return nil, err
		}
		for i := range h.Ops {
			h.Ops[i].ReadOnly = ways[h.Ops[i].Handle].ReadOnly
		}
		final, err := s.final(dir)
		if err == nil {
			h.Ops = append(h.Ops, final)
			err = h.Check()
		}
		if err != nil {
			v := &Violation{Stage: s.stage, Checks: s.done, Err: err, Ways: h.Ways}
			if s.keep {
				v.keep(&h)
			}
			return v, nil
		}
		h.Edited = h.Edited && final.Revision == h.Revision
		h.Revision, h.State = final.Revision, final.Reads
	}
	return nil, nil
}

// drawWays draws the way of each handle of the next registry.
func (s *sitting) drawWays() []Way {
	ways := make([]Way, s.shape.processes*s.shape.handles)
	if s.ways == nil {
		return ways
	}
	const ofWays = 1 << 32 // a stream of its own
	random := rand.New(rand.NewPCG(seed(), ofWays+uint64(s.done)))
	for i := range ways {
		ways[i] = s.ways[random.IntN(len(s.ways))]
	}
	return ways
}

// edit changes the file by hand between two histories: the next begins on
// content that no commit published.
func (h *History) edit(path string) error {
	data, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	p, err := parseFile(data)
	if err != nil {
		return err
	}
	name, id := keys[h.Number%len(keys)], valueID(h.Number, editor, 0)
	if p.entries[name], err = json.Marshal(valueOf(name, id)); err != nil {
		return err
	}
	if p.members["machines"], err = json.Marshal(p.entries); err != nil {
		return err
	}
	if data, err = json.Marshal(p.members); err != nil {
		return err
	}
	temp := path + ".edited"
	if err := errors.Join(os.WriteFile(temp, data, 0o644), os.Rename(temp, path)); err != nil {
		return err
	}
	h.Edited = true
	h.State = maps.Clone(h.State)
	h.State[name] = id
	return nil
}

// editor is the client of the edits between histories.
const editor = 98

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
