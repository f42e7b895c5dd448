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

// MaxRevision is the largest revision that a file may have: the largest whole
// number that every JSON program keeps exactly.
const MaxRevision Revision = 1<<53 - 1

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
	// edited is set if no commit wrote this content. edition counts the contents
	// that its handle has seen under this revision.
	edited  bool
	edition uint32
	// above is the highest number that may have been handed out, if that is more
	// than revision.
	above Revision
	index table[V]
	// sorted holds every entry of the file by name, the quarantined ones
	// included: it is the file's order.
	sorted []*entry[V]
	// hidden counts the entries of sorted that readers do not see.
	hidden int
	// quarantine lists the entries of sorted that could not be used. Snapshots
	// between which none of them changed share it.
	quarantine []quarantinedEntry[V]
	// text is how many bytes the lines of sorted have, in all.
	text int64
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

// quarantinedEntry keeps the reason, so that the schema's code is asked once.
type quarantinedEntry[V any] struct {
	*entry[V]
	reason string
}

// Revision is the number of the revision that s is or, if s is edited, that the
// edit was made on.
func (s *Snapshot[V]) Revision() Revision { return s.revision }

// Edited reports whether something other than a commit wrote this content: an
// editor, a program without this library, a backup that was put back. Such
// content has no revision of its own until the next commit gives it one, and
// no condition on a revision holds for it.
func (s *Snapshot[V]) Edited() bool { return s.edited }

// After reports whether s is newer than t. Both must come from one handle.
func (s *Snapshot[V]) After(t *Snapshot[V]) bool {
	return s.revision > t.revision || s.revision == t.revision && s.edition > t.edition
}

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
func (s *Snapshot[V]) Quarantine() []Quarantined { return slices.Collect(s.QuarantinedSince(nil)) }

// QuarantineLen is the length of Quarantine. It costs nothing.
func (s *Snapshot[V]) QuarantineLen() int { return len(s.quarantine) }

// QuarantinedSince yields the entries that could not be used, by name, without
// those that could not be used in old for the same reason. old may be nil. It
// costs one comparison for each of the two lists' entries, and nothing if a
// step between the two left the quarantine alone.
func (s *Snapshot[V]) QuarantinedSince(old *Snapshot[V]) iter.Seq[Quarantined] {
	var known []quarantinedEntry[V]
	if old != nil {
		known = old.quarantine
	}
	return since(known, s.quarantine, strings.Compare)
}

func since[V any](known, now []quarantinedEntry[V], compare func(a, b string) int) iter.Seq[Quarantined] {
	return func(yield func(Quarantined) bool) {
		if len(known) > 0 && len(known) == len(now) && &known[0] == &now[0] {
			return
		}
		known := known
		for _, q := range now {
			order := -1
			for len(known) > 0 {
				if order = compare(q.name, known[0].name); order <= 0 {
					break
				}
				known = known[1:]
			}
			if len(known) > 0 && order == 0 && known[0].reason == q.reason {
				continue
			}
			if !yield(Quarantined{q.name, q.reason}) {
				return
			}
		}
	}
}

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

// as returns s under another revision; everything else is shared.
func (s *Snapshot[V]) as(r Revision, edited bool, edition uint32, above Revision) *Snapshot[V] {
	t := *s
	t.revision, t.edited, t.edition, t.above = r, edited, edition, above
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
		for _, e := range sorted {
			s.text += int64(len(e.line))
		}
		s.listQuarantine(nil)
		return s
	}
	s.text = prev.text
	var replaced []replacement[V]
	quarantine := false
	walk(prev.sorted, sorted, func(old, new *entry[V]) {
		replaced = append(replaced, replacement[V]{old, new})
		quarantine = quarantine || old.isQuarantined() || new.isQuarantined()
		s.text += new.size() - old.size()
	})
	s.index = prev.index.with(replaced, sorted)
	s.hidden, s.quarantine = prev.hidden, prev.quarantine
	if quarantine {
		s.listQuarantine(prev.quarantine)
	}
	return s
}

// listQuarantine lists what is in quarantine. known are entries of which the
// reason is known, by name. Only decoding finds others, so that nothing else
// that makes a snapshot runs the schema's code.
func (s *Snapshot[V]) listQuarantine(known []quarantinedEntry[V]) {
	s.hidden, s.quarantine = 0, nil
	for _, e := range s.sorted {
		if e.isQuarantined() {
			for len(known) > 0 && known[0].name < e.name {
				known = known[1:]
			}
			q := quarantinedEntry[V]{entry: e}
			if len(known) > 0 && known[0].entry == e {
				q = known[0]
			} else {
				q.reason = s.codec.reason(e)
			}
			s.quarantine = append(s.quarantine, q)
		}
		if e.state&hidden != 0 {
			s.hidden++
		}
	}
}

func (e *entry[V]) isQuarantined() bool { return e != nil && e.state&quarantined != 0 }

func (e *entry[V]) size() int64 {
	if e == nil {
		return 0
	}
	return int64(len(e.line))
}

// find returns where name is in entries sorted by name, or where it would be.
func find[V any](entries []*entry[V], name string) (int, bool) {
	return slices.BinarySearchFunc(entries, name, func(e *entry[V], name string) int {
		return strings.Compare(e.name, name)
	})
}
