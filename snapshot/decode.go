package snapshot

import (
	"bytes"
	"hash/crc32"
	"slices"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
)

// decoded is a file's content before it is known which revision it stands for.
type decoded[V any] struct {
	snap *Snapshot[V] // at the revision that the file claims
	// ours reports that the checksum, sum, is right: this library wrote the file
	// as it is. It decides how the revision is read, and nothing else.
	ours bool
	sum  uint32
	// parsed counts the entries whose bytes were not in the previous snapshot.
	parsed int
}

// decode reads a file's content. Entries whose bytes are the same in prev keep
// their identity; prev may be nil. The error is a *CorruptError without path.
//
// It runs on a goroutine of its own, because the schema's code may end the one
// it is called on. If that happens, decode starts over and gives each value a
// goroutine; the value at fault is then quarantined.
func (c *Codec[V]) decode(data []byte, prev *Snapshot[V]) (d decoded[V], err error) {
	if apart(func() { d, err = c.decodeHere(data, prev) }) {
		return d, err
	}
	careful := *c
	careful.careful = true
	d, err = careful.decodeHere(data, prev)
	if err == nil {
		d.snap.codec = c
	}
	return d, err
}

func (c *Codec[V]) decodeHere(data []byte, prev *Snapshot[V]) (d decoded[V], err error) {
	body, sum, ours := checked(data)
	decoded := false
	if ours {
		d, decoded = c.decodeOurs(body, prev)
	}
	if !decoded {
		d, err = c.decodeAny(data, prev)
	}
	d.ours, d.sum = ours, sum
	return d, err
}

// checked returns what the checksum covers, the sum, and whether it is right.
func checked(data []byte) (body []byte, sum uint32, ok bool) {
	body, ok = bytes.CutSuffix(data, []byte(fileEnd))
	if n := len(body) - checksumDigits; ok && n >= 0 {
		written := string(body[n:])
		body, ok = bytes.CutSuffix(body[:n], []byte(checksumBefore))
		sum = crc32.Checksum(body, castagnoli)
		return body, sum, ok && formatSum(sum) == written
	}
	return nil, 0, false
}

// decodeOurs reads the form that Encode writes, down to the checksum. It gives
// up at whatever is not exactly that form; the general decoder then has the
// last word, so nothing rests on the checksum being hard to forge.
//
// An unchanged entry costs one comparison of its bytes. The walk relies on the
// order of names: what is not the next entry of prev is looked at, and prev
// catches up by name.
func (c *Codec[V]) decodeOurs(body []byte, prev *Snapshot[V]) (d decoded[V], ok bool) {
	revision, body, ok := parseHead(body)
	if !ok {
		return d, false
	}
	body, ok = bytes.CutPrefix(body, []byte(entryEnd+quoted(c.schema.Collection)+collectionOpen))
	if !ok {
		return d, false
	}

	var old []*entry[V]
	if prev != nil {
		old = prev.sorted
	}
	sorted := make([]*entry[V], 0, max(len(old), bytes.Count(body, []byte{'\n'})))
	for more := len(body) > 0 && body[0] == '"'; more; {
		var e *entry[V]
		if len(old) == 0 || !hasLine(body, old[0].line) {
			name, value, ok := nameAt(body)
			if !ok {
				return d, false
			}
			for len(old) > 0 && old[0].name < string(name) {
				old = old[1:]
			}
			if len(old) == 0 || !hasLine(body, old[0].line) {
				var err error
				if e, err = c.parseEntry(string(name), value, body); err != nil {
					return d, false
				}
				d.parsed++
			}
		}
		if e == nil {
			e, old = old[0], old[1:]
		}
		body = body[len(e.line):]
		if n := len(sorted); n > 0 && sorted[n-1].name >= e.name {
			return d, false
		}
		sorted = append(sorted, e)
		body, more = bytes.CutPrefix(body, []byte(","))
		if body, ok = bytes.CutPrefix(body, []byte("\n")); !ok {
			return d, false
		}
	}
	body, ok = bytes.CutPrefix(body, []byte(collectionEnd))
	if !ok {
		return d, false
	}
	members, ok := c.parseMembers(body, prev)
	if !ok {
		return d, false
	}
	d.snap = c.assemble(prev, sorted, revision, members)
	return d, true
}

// hasLine reports whether body begins with line and the line ends there.
func hasLine(body []byte, line string) bool {
	return len(body) > len(line) && string(body[:len(line)]) == line &&
		(body[len(line)] == '\n' || body[len(line)] == ',')
}

// parseHead reads a file up to and including the digits of its revision.
func parseHead(data []byte) (r Revision, rest []byte, ok bool) {
	rest, ok = bytes.CutPrefix(data, []byte(headBefore))
	if !ok {
		return 0, nil, false
	}
	n := 0
	for n < len(rest) && rest[n] >= '0' && rest[n] <= '9' {
		n++
	}
	v, err := strconv.ParseUint(string(rest[:n]), 10, 64)
	if err != nil || v > uint64(MaxRevision) || n > 1 && rest[0] == '0' {
		return 0, nil, false
	}
	return Revision(v), rest[n:], true
}

// parseEntry decodes the entry that body begins with; value is where its value
// begins. Nearly every value ends with the line. One that does not holds white
// space that somebody else wrote; then the decoder says where it ends.
func (c *Codec[V]) parseEntry(name string, value int, body []byte) (*entry[V], error) {
	end := lineEnd(body)
	if end > value && body[end-1] == ',' {
		end--
	}
	e, err := c.entryOf(name, string(body[:end]), body[value:end])
	if err == nil {
		return e, nil
	}
	dec := jsontext.NewDecoder(bytes.NewBuffer(body[value:]))
	if _, err := dec.ReadValue(); err != nil {
		return nil, err
	}
	end = value + int(dec.InputOffset())
	return c.entryOf(name, string(body[:end]), body[value:end])
}

// parseMembers checks what stands between the collection and the checksum: the
// members that are not this library's, joined as Encode joins them.
func (c *Codec[V]) parseMembers(body []byte, prev *Snapshot[V]) (string, bool) {
	if len(body) == 0 {
		return "", true
	}
	text, ok := bytes.CutSuffix(body, []byte(entryEnd))
	if !ok {
		return "", false
	}
	if prev != nil && prev.members == string(text) {
		return prev.members, true
	}
	object := slices.Concat([]byte("{"), text, []byte("}"))
	if !jsontext.Value(object).IsValid() {
		return "", false
	}
	rest := text
	for m := range membersOf(object) {
		name := unquoted(m.name)
		if name == c.schema.Collection || slices.Contains(reserved, name) {
			return "", false
		}
		if rest, ok = bytes.CutPrefix(rest, m.text); ok && len(rest) > 0 {
			rest, ok = bytes.CutPrefix(rest, []byte(entryEnd))
		}
		if !ok {
			return "", false
		}
	}
	return string(text), len(text) > 0 && len(rest) == 0
}
