package snapshot

import (
	"maps"
	"slices"
)

// Editor makes the next revision of a snapshot out of writes that are applied
// one after another; each sees what the ones before it did. It belongs to one
// goroutine.
type Editor[V any] struct {
	base    *Snapshot[V]
	changed map[string]*entry[V] // nil: removed
	applied Revision
}

// Entry is a value made ready for a file: checked, encoded, and owned by
// nobody else. It may be put into any number of editors.
type Entry[V any] struct{ e *entry[V] }

// Name is the name the entry will be stored under.
func (e Entry[V]) Name() string { return e.e.name }

// Edit starts the next revision of s.
func (s *Snapshot[V]) Edit() *Editor[V] {
	return &Editor[V]{base: s, changed: make(map[string]*entry[V])}
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

// Revision is the base's, plus one for every write applied so far.
func (d *Editor[V]) Revision() Revision { return d.base.revision + d.applied }

// Get returns what a reader would see of name after the writes so far.
func (d *Editor[V]) Get(name string) (V, bool) {
	e := d.get(name)
	if e == nil || e.state&hidden != 0 {
		var zero V
		return zero, false
	}
	return d.base.codec.out(e), true
}

// Holds is [Snapshot.Holds] after the writes so far.
func (d *Editor[V]) Holds(name string) bool { return d.get(name) != nil }

// Write is the change that one write makes: entries to put and names to
// remove.
type Write[V any] struct {
	Put    []Entry[V]
	Remove []string
}

// Apply adds one write to the revision being made, as a whole, and reports
// whether it changed anything. A put takes over the unknown members of the
// entry it replaces; one that leaves the bytes as they are is no change.
// Removing a name that is not there is none either.
func (d *Editor[V]) Apply(w Write[V]) bool {
	changed := false
	for _, put := range w.Put {
		old := d.get(put.e.name)
		e := put.e
		if old != nil {
			e = d.base.codec.takeOver(old, e)
		}
		if old == nil || old.line != e.line || old.state&quarantined != 0 {
			if was := d.base.index.get(e.name); was != nil && was.line == e.line && !was.isQuarantined() {
				e = was // changed back
			}
			d.changed[e.name] = e
			changed = true
		}
	}
	for _, name := range w.Remove {
		if d.get(name) != nil {
			d.changed[name] = nil
			changed = true
		}
	}
	if changed {
		d.applied++
	}
	return changed
}

// Snapshot returns the edited snapshot; the base itself if nothing changed.
// The editor may go on: a later Snapshot holds the later writes as well.
func (d *Editor[V]) Snapshot() *Snapshot[V] {
	if d.applied == 0 {
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
