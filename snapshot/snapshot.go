package snapshot

import (
	"iter"
	"slices"
	"strings"
)

// Revision is a registry's version number. It grows by one for every applied
// write, however many entries that write changes; 0 is a registry that was
// never written.
type Revision uint64

// maxRevision is the most that a file which something else wrote may claim. It
// leaves room to count on from there for ever.
const maxRevision = 1 << 62

// Snapshot is one immutable revision of a whole collection. All its methods
// are safe for concurrent use and never block; a snapshot stays as it is for
// as long as anybody holds it.
//
// Values come out by value. Where V holds references (slices, maps, pointers)
// every value handed out is a copy of its own, so that no caller can reach
// into what others see; see [Schema.Clone] for what that costs.
type Snapshot[V any] struct {
	codec    *Codec[V]
	revision Revision
	index    table[V]
	// sorted holds every entry of the file by name, the quarantined ones
	// included: it is the file's order.
	sorted []*entry[V]
	// hidden counts the entries of sorted that readers do not see.
	hidden int
	// quarantine lists the entries of sorted that could not be used.
	quarantine []Quarantined
	// members are the file's own unknown members, verbatim, each as
	// `"name": value`, joined by ",\n".
	members string
}

// entry is one name of the collection. It is immutable, and its address is its
// identity: a refresh keeps the entry of every name whose bytes did not
// change, so an equal pointer means an unchanged entry.
type entry[V any] struct {
	name string // aliases line where the name is written without escapes
	// line is the entry as the file has it: `"name": value`. Strings of value
	// alias it, so that an entry costs one allocation for all its text.
	line  string
	value V
	hash  uint64
	state entryState
}

type entryState uint8

const (
	// hasRest marks a value with members that V does not know.
	hasRest entryState = 1 << iota
	// quarantined marks an entry whose bytes are kept but not used.
	quarantined
	// hidden marks an entry that readers do not see: a quarantined one
	// without a built-in value to stand in for it.
	hidden
)

// Quarantined is an entry of the file that could not be used. Its bytes stay
// in the file, and survive every rewrite, until somebody writes or removes an
// entry of that name.
type Quarantined struct {
	Name   string // may hold any character that JSON can express: quote it for a terminal
	Reason string // safe for a terminal
}

// Revision is the number of the revision that s is.
func (s *Snapshot[V]) Revision() Revision { return s.revision }

// Len is the number of entries that Get and All see.
func (s *Snapshot[V]) Len() int { return len(s.sorted) - s.hidden }

// Get returns the value stored under name, and whether there is one. It does
// not allocate unless V holds references.
func (s *Snapshot[V]) Get(name string) (v V, ok bool) {
	// Small enough to be inlined, so that a large value is copied once.
	if p := s.lookup(name); p != nil {
		return *p, true
	}
	return v, false
}

// lookup returns where the value of name is, for the caller to copy, or nil.
func (s *Snapshot[V]) lookup(name string) *V {
	e := s.index.get(name)
	switch {
	case e == nil || e.state&hidden != 0:
		return nil
	case s.codec.plain:
		return &e.value
	}
	v := s.codec.out(e)
	return &v
}

// All yields every name and value in ascending byte order of the names.
func (s *Snapshot[V]) All() iter.Seq2[string, V] {
	return func(yield func(string, V) bool) {
		for _, e := range s.sorted {
			if e.state&hidden == 0 && !yield(e.name, s.codec.out(e)) {
				return
			}
		}
	}
}

// Quarantine lists the entries of the file that could not be used, by name.
func (s *Snapshot[V]) Quarantine() []Quarantined { return slices.Clone(s.quarantine) }

// Holds reports whether the file of this revision has an entry of that name,
// usable or quarantined.
func (s *Snapshot[V]) Holds(name string) bool { return s.index.get(name) != nil }

// SameEntry reports whether name is in a and in b the very same entry, or
// missing from both. Entries are compared by identity, so a and b must come
// from one handle; there, an entry whose bytes did not change is the same.
func SameEntry[V any](a, b *Snapshot[V], name string) bool {
	return a == b || a.index.get(name) == b.index.get(name)
}

// SameEntries reports whether a and b hold the very same entries.
func SameEntries[V any](a, b *Snapshot[V]) bool {
	return a == b || slices.Equal(a.sorted, b.sorted)
}

// at returns s under another revision number; everything else is shared.
func (s *Snapshot[V]) at(r Revision) *Snapshot[V] {
	if s.revision == r {
		return s
	}
	t := *s
	t.revision = r
	return &t
}

// assemble makes a snapshot of entries sorted by name, with the built-in ones
// that are missing. It shares the index of prev as far as that serves; prev
// may be nil.
func (c *Codec[V]) assemble(prev *Snapshot[V], sorted []*entry[V], r Revision, members string) *Snapshot[V] {
	for _, b := range c.builtin {
		if i, found := find(sorted, b.name); !found {
			sorted = slices.Insert(sorted, i, b)
		}
	}
	s := &Snapshot[V]{codec: c, revision: r, sorted: sorted, members: members}
	if prev == nil {
		s.index = newTable(sorted)
		s.listQuarantine()
		return s
	}
	var replaced []replacement[V]
	quarantine := false
	walk(prev.sorted, sorted, func(old, new *entry[V]) {
		replaced = append(replaced, replacement[V]{old, new})
		quarantine = quarantine || old.isQuarantined() || new.isQuarantined()
	})
	s.index = prev.index.with(replaced, sorted)
	s.hidden, s.quarantine = prev.hidden, prev.quarantine
	if quarantine {
		s.listQuarantine()
	}
	return s
}

func (s *Snapshot[V]) listQuarantine() {
	s.hidden, s.quarantine = 0, nil
	for _, e := range s.sorted {
		if e.isQuarantined() {
			s.quarantine = append(s.quarantine, Quarantined{e.name, s.codec.reason(e)})
		}
		if e.state&hidden != 0 {
			s.hidden++
		}
	}
}

func (e *entry[V]) isQuarantined() bool { return e != nil && e.state&quarantined != 0 }

// find returns where name is in entries sorted by name, or where it would be.
func find[V any](entries []*entry[V], name string) (int, bool) {
	return slices.BinarySearchFunc(entries, name, func(e *entry[V], name string) int {
		return strings.Compare(e.name, name)
	})
}
