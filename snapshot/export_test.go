package snapshot

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
	body, ok := checked(data)
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
