package snapshot

import (
	"bytes"
	"hash/crc32"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// decoded is a file's content before it is known which revision it stands for.
type decoded[V any] struct {
	snap *Snapshot[V] // at the revision that the file claims
	// ours reports that the checksum is right: this library wrote the file as
	// it is. It decides how the revision is read, and nothing else.
	ours bool
	// parsed counts the entries whose bytes were not in the previous snapshot.
	parsed int
}

// decode reads a file's content. Entries whose bytes are the same in prev keep
// their identity; prev may be nil. The error is a *CorruptError without path.
func (c *Codec[V]) decode(data []byte, prev *Snapshot[V]) (decoded[V], error) {
	if d, ok := c.decodeOurs(data, prev); ok {
		return d, nil
	}
	return c.decodeAny(data, prev)
}

// decodeOurs reads the form that Encode writes. It gives up at whatever is not
// exactly that form; the general decoder then has the last word, so nothing
// rests on the checksum being hard to forge.
//
// An unchanged entry costs one comparison of its bytes. The walk relies on the
// order of names: what is not the next entry of prev is parsed, and prev
// catches up by name.
func (c *Codec[V]) decodeOurs(data []byte, prev *Snapshot[V]) (d decoded[V], ok bool) {
	tail := len(data) - len(checksumBefore) - checksumDigits - len(fileEnd)
	if tail < 0 ||
		string(data[tail:tail+len(checksumBefore)]) != checksumBefore ||
		string(data[len(data)-len(fileEnd):]) != fileEnd {
		return d, false
	}
	sum := string(data[tail+len(checksumBefore) : len(data)-len(fileEnd)])
	if formatSum(crc32.Checksum(data[:tail], castagnoli)) != sum {
		return d, false
	}
	body := data[:tail]
	revision, rest, ok := parseHead(body)
	if !ok {
		return d, false
	}
	body, ok = bytes.CutPrefix(rest, []byte(entryEnd+quoted(c.schema.Collection)+collectionOpen))
	if !ok {
		return d, false
	}

	var old []*entry[V]
	if prev != nil {
		old = prev.sorted
	}
	sorted := make([]*entry[V], 0, max(len(old), bytes.Count(body[:min(len(body), 1<<16)], []byte{'\n'})))
	for more := len(body) > 0 && body[0] == '"'; more; {
		var e *entry[V]
		if len(old) > 0 && hasLine(body, old[0].line) {
			e, old = old[0], old[1:]
			body = body[len(e.line):]
		} else {
			var err error
			if e, body, err = c.parseLine(body); err != nil {
				return d, false
			}
			for len(old) > 0 && old[0].name < e.name {
				old = old[1:]
			}
			if len(old) > 0 && old[0].name == e.name {
				if old[0].line == e.line {
					e = old[0]
				}
				old = old[1:]
			}
			d.parsed++
		}
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
	d.snap, d.ours = c.assemble(prev, sorted, revision, members), true
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
	if err != nil || v > maxRevision || n > 1 && rest[0] == '0' {
		return 0, nil, false
	}
	return Revision(v), rest[n:], true
}

// parseLine reads the entry that body begins with. An entry whose value spans
// lines is not recognised here, which costs time and nothing else.
func (c *Codec[V]) parseLine(body []byte) (*entry[V], []byte, error) {
	end := bytes.IndexByte(body, '\n')
	if end < 0 {
		return nil, nil, errNotOurs
	}
	if end > 0 && body[end-1] == ',' {
		end--
	}
	line := string(body[:end])
	close := closingQuote(line)
	if close < 0 || !strings.HasPrefix(line[close:], `": `) {
		return nil, nil, errNotOurs
	}
	name, at := line[1:close], close+len(`": `)
	if strings.IndexByte(name, '\\') >= 0 {
		unquoted, err := jsontext.AppendUnquote(nil, line[:close+1])
		if err != nil {
			return nil, nil, errNotOurs
		}
		name = string(unquoted)
	}
	e, err := c.entryOf(name, line, body[at:end])
	if err != nil {
		return nil, nil, err
	}
	return e, body[end:], nil
}

// parseMembers checks what stands between the collection and the checksum.
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
	for _, m := range membersOf(object) {
		if m.name == c.schema.Collection || slices.Contains(reserved, m.name) {
			return "", false
		}
	}
	return string(text), true
}
