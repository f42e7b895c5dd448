package proptest

import (
	"encoding/json"
	"fmt"
	"maps"

	"github.com/machreg/machreg/registry"
)

// state is what a reader sees: machines by name.
type state map[string]registry.Machine

// content is what the model expects to be in the file.
type content struct {
	entries map[string]entry
	members map[string]string // the file's unknown members, verbatim
}

// entry is one entry of the file.
type entry struct {
	machine registry.Machine
	rest    map[string]string // unknown members, verbatim
	// bad is the verbatim value of an entry that cannot be used, and empty for
	// one that can.
	bad string
	// wild marks what something else wrote: values that equal ours may be
	// spelt in another way, so that writing them again may or may not be a
	// change.
	wild bool
}

var localMachine = registry.Machine{Name: registry.LocalName, Type: registry.TypeLocal}

func newContent() content { return content{entries: make(map[string]entry)} }

func (c content) clone() content {
	return content{entries: maps.Clone(c.entries), members: maps.Clone(c.members)}
}

// respelt is c as something else may write it.
func (c content) respelt() content {
	c = c.clone()
	for name, e := range c.entries {
		e.wild = true
		c.entries[name] = e
	}
	return c
}

// visible is what a reader sees of c.
func (c content) visible() state {
	s := state{registry.LocalName: localMachine}
	for name, e := range c.entries {
		if e.bad == "" {
			s[name] = e.machine
		}
	}
	return s
}

func (c content) hasBad() bool {
	for _, e := range c.entries {
		if e.bad != "" {
			return true
		}
	}
	return false
}

// mark is whether content is edited: no commit published it as it stands.
type mark int

const (
	settled  mark = iota
	doubtful      // the same content again, which may be taken for what was committed
	unsettled
)

// same reports whether two contents are alike but for their spelling.
func (c content) same(d content) bool {
	c, d = c.clone(), d.clone()
	c.complete()
	d.complete()
	return maps.Equal(c.members, d.members) && maps.EqualFunc(c.entries, d.entries, func(a, b entry) bool {
		return a.machine == b.machine && a.bad == b.bad && maps.Equal(a.rest, b.rest)
	})
}

// change is whether a write changes the file.
type change int

const (
	same change = iota
	maybe
	changed
)

// put writes m as this module does.
func (c content) put(m registry.Machine) change {
	old, there := c.entries[m.Name]
	if !there && m.Name == registry.LocalName {
		old, there = entry{machine: localMachine}, true
	}
	c.entries[m.Name] = entry{machine: m, rest: old.rest}
	switch {
	case !there || old.bad != "" || old.machine != m:
		return changed
	case old.wild:
		c.entries[m.Name] = old
		return maybe
	}
	return same
}

func (c content) remove(name string) change {
	if _, there := c.entries[name]; !there {
		return same
	}
	delete(c.entries, name)
	return changed
}

// complete adds what every write adds.
func (c content) complete() {
	if _, there := c.entries[registry.LocalName]; !there {
		c.entries[registry.LocalName] = entry{machine: localMachine}
	}
}

// forget drops what the baseline does not know.
func (c *content) forget() {
	c.members = nil
	for name, e := range c.entries {
		e.rest, e.wild = nil, true
		c.entries[name] = e
	}
}

// readableByBaseline reports whether no entry is of a shape that the baseline
// gives up at.
func (c content) readableByBaseline() bool {
	for _, e := range c.entries {
		if e.bad != "" && json.Unmarshal([]byte(e.bad), new(registry.Machine)) != nil {
			return false
		}
	}
	return true
}

// diff says in one line where got is not want, or nothing.
func diff(got, want state) string {
	for name, w := range want {
		if g, ok := got[name]; !ok {
			return fmt.Sprintf("%q is missing, want %+v", name, w)
		} else if g != w {
			return fmt.Sprintf("%q is %+v, want %+v", name, g, w)
		}
	}
	for name, g := range got {
		if _, ok := want[name]; !ok {
			return fmt.Sprintf("%q is there with %+v, want it missing", name, g)
		}
	}
	return ""
}
