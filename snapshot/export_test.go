package snapshot

import (
	"reflect"
	"strings"
)

// What the external tests reach inside for: a file's content without a file.

// Decoded is what a file's content was read as.
type Decoded[V any] struct {
	Snapshot *Snapshot[V]
	Ours     bool // the checksum is right
	Parsed   int
}

// Decode is the whole decoder.
func (c *Codec[V]) Decode(data []byte, prev *Snapshot[V]) (Decoded[V], error) {
	d, err := c.decode(data, prev)
	return Decoded[V]{d.snap, d.ours, d.parsed}, err
}

// DecodeOurs is the fast decoder alone.
func (c *Codec[V]) DecodeOurs(data []byte, prev *Snapshot[V]) (Decoded[V], bool) {
	body, _, ok := checked(data)
	if !ok {
		return Decoded[V]{}, false
	}
	d, ok := c.decodeOurs(body, prev)
	return Decoded[V]{d.snap, d.ours, d.parsed}, ok
}

// DecodeAny is the general decoder alone.
func (c *Codec[V]) DecodeAny(data []byte, prev *Snapshot[V]) (Decoded[V], error) {
	d, err := c.decodeAny(data, prev)
	return Decoded[V]{d.snap, d.ours, d.parsed}, err
}

// Members are the file's own unknown members, as they are written.
func (s *Snapshot[V]) Members() string { return s.members }

// Line is the line of an entry, and "" if there is none.
func (s *Snapshot[V]) Line(name string) string {
	if e := s.index.get(name); e != nil {
		return e.line
	}
	return ""
}

// Printable is how text of a file appears in messages.
func Printable(s string) string { return printable(s) }

// Size is how long a file with the writes so far is.
func (d *Editor[V]) Size() int64 { return d.size() }

// Size is how long the file of this revision is.
func (s *Snapshot[V]) Size() int64 {
	return s.codec.sizeOf(s.revision, len(s.sorted), s.text, s.members)
}

// CountSince is QuarantinedSince, and how many names it compares.
func CountSince[V any](old, now *Snapshot[V]) (found []Quarantined, steps int) {
	for q := range since(old.quarantine, now.quarantine, func(a, b string) int {
		steps++
		return strings.Compare(a, b)
	}) {
		found = append(found, q)
	}
	return found, steps
}

// CheckType reports why a value of type t cannot be in a file.
func CheckType(t reflect.Type) error { return checkType(t) }
