package snapshot

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
)

// Editor makes the next revision of a snapshot out of writes that are applied
// one after another; each sees what the ones before it did. It belongs to one
// goroutine.
type Editor[V any] struct {
	base    *Snapshot[V]
	changed map[string]*entry[V] // nil: removed
	applied Revision
	settled bool  // an edited base gets its revision, whatever is applied
	entries int   // as edited so far
	text    int64 // of their lines
}

// Entry is a value made ready for a file: checked, encoded, and owned by
// nobody else. It may be put into any number of editors.
type Entry[V any] struct{ e *entry[V] }

// Name is the name the entry will be stored under.
func (e Entry[V]) Name() string { return e.e.name }

// Edit starts the next revision of s.
func (s *Snapshot[V]) Edit() *Editor[V] {
	return &Editor[V]{base: s, changed: make(map[string]*entry[V]), entries: len(s.sorted), text: s.text}
}

func (d *Editor[V]) get(name string) *entry[V] {
	if e, ok := d.changed[name]; ok {
		return e
	}
	return d.base.index.get(name)
}

// SameEntry reports whether name is, as edited so far, the very same entry as
// in s, or missing from both.
func (d *Editor[V]) SameEntry(s *Snapshot[V], name string) bool {
	return d.get(name) == s.index.get(name)
}

// Revision is the base's, plus one for every write applied so far. An edited
// base counts as a revision of its own. Numbers that may have been handed out to
// content that is gone are passed over.
func (d *Editor[V]) Revision() Revision {
	switch b := d.base; {
	case b.edited:
		return max(b.revision, b.above) + 1 + d.applied
	case d.applied > 0:
		return max(b.revision, b.above) + d.applied
	default:
		return b.revision
	}
}

// Applied is the number of writes that changed something so far.
func (d *Editor[V]) Applied() int { return int(d.applied) }

// Settle gives an edited base its revision, also if no write changes anything.
func (d *Editor[V]) Settle() { d.settled = true }

// Get returns what a reader would see of name after the writes so far.
func (d *Editor[V]) Get(name string) (v V, ok bool) {
	e, ok := d.Entry(name)
	if !ok {
		return v, false
	}
	return d.base.codec.Value(e), true
}

// Entry is Get without the value, which [Codec.Value] copies: it runs no code
// of the schema's.
func (d *Editor[V]) Entry(name string) (e Entry[V], ok bool) {
	e.e = d.get(name)
	return e, e.e != nil && e.e.state&hidden == 0
}

// Holds is [Snapshot.Holds] after the writes so far.
func (d *Editor[V]) Holds(name string) bool { return d.get(name) != nil }

// Write is the change that one write makes: entries to put and names to
// remove.
type Write[V any] struct {
	Put    []Entry[V]
	Remove []string
}

// ErrTooLarge reports that a file is, or would be, over the limit of its size.
var ErrTooLarge = errors.New("over the limit")

// Apply adds one write to the revision being made, as a whole, and reports
// whether it changed anything. A put takes over the unknown members of the
// entry it replaces; one that leaves the bytes as they are is no change.
// Removing a name that is not there is none either.
func (d *Editor[V]) Apply(w Write[V]) bool {
	changed, _ := d.ApplyWithin(math.MaxInt64, w)
	return changed
}

// ApplyWithin is Apply for a file of at most limit bytes. A change that would
// make the file larger is refused with an error that matches [ErrTooLarge], and
// leaves the editor as it was.
func (d *Editor[V]) ApplyWithin(limit int64, w Write[V]) (changed bool, err error) {
	puts := make([]*entry[V], len(w.Put))
	for i, put := range w.Put {
		puts[i] = put.e
		if old := d.get(put.e.name); old != nil {
			puts[i] = d.base.codec.takeOver(old, put.e)
		}
	}
	var undo []change[V]
	for _, e := range puts {
		if old := d.get(e.name); old == nil || old.line != e.line || old.state&quarantined != 0 {
			if was := d.base.index.get(e.name); was != nil && was.line == e.line && !was.isQuarantined() {
				e = was // changed back
			}
			undo = append(undo, d.set(e.name, e))
		}
	}
	for _, name := range w.Remove {
		if d.get(name) != nil {
			undo = append(undo, d.set(name, nil))
		}
	}
	if len(undo) == 0 {
		return false, nil
	}
	d.applied++
	if size := d.size(); size > limit {
		d.applied--
		for _, c := range slices.Backward(undo) {
			d.set(c.name, c.was)
			if !c.edited {
				delete(d.changed, c.name)
			}
		}
		return false, fmt.Errorf("the registry file would have %d bytes, %w of %d bytes; raise MaxSize to allow it", size, ErrTooLarge, limit)
	}
	return true, nil
}

// change is what set changed.
type change[V any] struct {
	name   string
	was    *entry[V]
	edited bool // was is of this editor, not of its base
}

func (d *Editor[V]) set(name string, e *entry[V]) (c change[V]) {
	c.name = name
	if c.was, c.edited = d.changed[name]; !c.edited {
		c.was = d.base.index.get(name)
	}
	d.changed[name] = e
	// assemble puts the built-in entry where there is none.
	old, new := c.was, e
	if b := d.base.codec.builtinEntry(name); b != nil {
		old, new = cmp.Or(old, b), cmp.Or(new, b)
	}
	if old == nil && new != nil {
		d.entries++
	} else if old != nil && new == nil {
		d.entries--
	}
	d.text += new.size() - old.size()
	return c
}

// size is how long a file with the writes so far is.
func (d *Editor[V]) size() int64 {
	return d.base.codec.sizeOf(d.Revision(), d.entries, d.text, d.base.members)
}

// Snapshot returns the edited snapshot; the base itself if nothing changed.
// The editor may go on: a later Snapshot holds the later writes as well.
func (d *Editor[V]) Snapshot() *Snapshot[V] {
	switch {
	case d.applied > 0:
	case d.settled && d.base.edited:
		return d.base.as(d.Revision(), false, 0, 0)
	default:
		return d.base
	}
	names := slices.Sorted(maps.Keys(d.changed))
	sorted := make([]*entry[V], 0, len(d.base.sorted)+len(names))
	rest := d.base.sorted
	for _, name := range names {
		i, found := find(rest, name)
		sorted = append(sorted, rest[:i]...)
		if rest = rest[i:]; found {
			rest = rest[1:]
		}
		if e := d.changed[name]; e != nil {
			sorted = append(sorted, e)
		}
	}
	sorted = append(sorted, rest...)
	return d.base.codec.assemble(d.base, sorted, d.Revision(), d.base.members)
}
