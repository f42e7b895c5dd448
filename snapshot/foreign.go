package snapshot

import (
	"bytes"
	"cmp"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// decodeAny reads a file that any program may have written: any valid JSON of
// the right shape.
func (c *Codec[V]) decodeAny(data []byte, prev *Snapshot[V]) (decoded[V], error) {
	r := foreign[V]{
		codec: c, data: data, prev: prev,
		dec:   jsontext.NewDecoder(bytes.NewBuffer(data)),
		known: make(map[string]bool),
	}
	d, err := r.file()
	if err != nil {
		return decoded[V]{}, err
	}
	return d, nil
}

// foreign is one pass over such a file.
type foreign[V any] struct {
	codec *Codec[V]
	data  []byte
	prev  *Snapshot[V]
	dec   *jsontext.Decoder

	version, collection bool // seen
	revision            Revision
	entries             []*entry[V]
	members             []string
	parsed              int

	line  []byte          // of the entry at hand, used again for the next
	known map[string]bool // whether V has a member, by its name as written
}

func (r *foreign[V]) file() (d decoded[V], err error) {
	switch {
	case len(r.data) == 0:
		return d, corruptAt(nil, 0, "the file is empty")
	case bytes.HasPrefix(r.data, []byte("\xef\xbb\xbf")):
		return d, corruptAt(r.data, 0, "begins with a byte order mark; save it as UTF-8 without one")
	}
	if kind := r.dec.PeekKind(); kind != jsontext.KindBeginObject && kind != jsontext.KindInvalid {
		return d, corruptAt(r.data, r.next(), "want a JSON object, found %s", kindName(kind))
	}
	if _, err := r.dec.ReadToken(); err != nil {
		return d, syntaxError(r.data, err)
	}
	for r.dec.PeekKind() == jsontext.KindString {
		if err := r.member(); err != nil {
			return d, err
		}
	}
	if _, err := r.dec.ReadToken(); err != nil { // the closing brace
		return d, syntaxError(r.data, err)
	}
	end := int(r.dec.InputOffset())
	if _, err := r.dec.ReadToken(); err != io.EOF {
		return d, corruptAt(r.data, r.skipSpace(end), "data after the end of the registry")
	}
	if !r.version {
		return d, corruptAt(r.data, end-1, "no member %q: not a registry file", memberVersion)
	}
	if !r.collection {
		return d, corruptAt(r.data, end-1, "no member %q: not a registry file of this kind", r.codec.schema.Collection)
	}
	slices.SortFunc(r.entries, func(a, b *entry[V]) int { return cmp.Compare(a.name, b.name) })
	members := strings.Join(r.members, entryEnd)
	if r.prev != nil && r.prev.members == members {
		members = r.prev.members
	}
	d.snap = r.codec.assemble(r.prev, r.entries, r.revision, members)
	d.parsed = r.parsed
	return d, nil
}

// member reads one member of the file.
func (r *foreign[V]) member() error {
	name, raw, err := r.name()
	if err != nil {
		return err
	}
	start := int(r.dec.InputOffset()) - len(raw)
	kind, at := r.dec.PeekKind(), r.next()
	if name == r.codec.schema.Collection {
		r.collection = true
		return r.entriesOf(kind, at)
	}
	value, err := r.dec.ReadValue()
	if err != nil {
		return syntaxError(r.data, err)
	}
	switch name {
	case memberVersion:
		if string(value) != strconv.Itoa(formatVersion) {
			return corruptAt(r.data, at, "unknown version %s: this program reads version %d", excerpt(value), formatVersion)
		}
		r.version = true
	case memberRevision:
		n, err := strconv.ParseUint(string(value), 10, 64)
		if err != nil || n > uint64(MaxRevision) {
			return corruptAt(r.data, at, "revision %s is not a whole number from 0 to %d", excerpt(value), MaxRevision)
		}
		r.revision = Revision(n)
	case memberChecksum:
		// It did not match, or this decoder would not have been asked.
	default:
		r.members = append(r.members, string(r.data[start:r.dec.InputOffset()]))
	}
	return nil
}

// entriesOf reads the collection.
func (r *foreign[V]) entriesOf(kind jsontext.Kind, at int) error {
	switch kind {
	case jsontext.KindNull: // a Go map that was never made
		if _, err := r.dec.ReadToken(); err != nil {
			return syntaxError(r.data, err)
		}
		return nil
	case jsontext.KindBeginObject:
	default:
		if _, err := r.dec.ReadValue(); err != nil {
			return syntaxError(r.data, err)
		}
		return corruptAt(r.data, at, "%q is %s, want an object", r.codec.schema.Collection, kindName(kind))
	}
	if _, err := r.dec.ReadToken(); err != nil {
		return syntaxError(r.data, err)
	}
	for r.dec.PeekKind() == jsontext.KindString {
		if err := r.entry(); err != nil {
			return err
		}
	}
	if _, err := r.dec.ReadToken(); err != nil {
		return syntaxError(r.data, err)
	}
	return nil
}

func (r *foreign[V]) entry() error {
	name, raw, err := r.name()
	if err != nil {
		return err
	}
	value, err := r.dec.ReadValue()
	if err != nil {
		return syntaxError(r.data, err)
	}
	r.line = r.foreignLine(r.line[:0], name, value)
	var old *entry[V]
	if r.prev != nil {
		old = r.prev.index.get(name)
	}
	if old != nil && (old.isQuarantined() && isLine(old.line, raw, value) ||
		!old.isQuarantined() && old.line == string(r.line)) {
		r.entries = append(r.entries, old)
		return nil
	}
	line := string(r.line)
	e, err := r.codec.entryOf(name, line, r.line[valueAt(line):])
	if err == nil && e.isQuarantined() { // its bytes are not touched
		line = string(raw) + ": " + string(value)
		e, err = r.codec.entryOf(name, line, value)
	}
	if err != nil {
		return corruptAt(r.data, int(r.dec.InputOffset())-len(value), "entry %q: %v", name, err)
	}
	r.parsed++
	r.entries = append(r.entries, e)
	return nil
}

// foreignLine appends the line of an entry that something else wrote: the name
// and the members that V knows without white space, the others byte for byte.
func (r *foreign[V]) foreignLine(line []byte, name string, value []byte) []byte {
	line = append(appendQuoted(line, name), ": "...)
	if !r.codec.carries || value[0] != '{' {
		return appendCompact(line, value)
	}
	line = append(line, '{')
	first := true
	for m := range membersOf(value) {
		if !first {
			line = append(line, ',')
		}
		first = false
		known, ok := r.known[string(m.name)]
		if !ok {
			known = r.codec.isKnown(unquoted(m.name))
			r.known[string(m.name)] = known
		}
		if known {
			line = append(append(line, m.name...), ':')
			line = appendCompact(line, m.value)
		} else {
			line = append(line, m.text...)
		}
	}
	return append(line, '}')
}

// isLine reports whether line is that name and that value.
func isLine(line string, name, value []byte) bool {
	return len(line) == len(name)+len(": ")+len(value) &&
		strings.HasPrefix(line, string(name)) && strings.HasSuffix(line, string(value))
}

// name reads a member's name, unescaped and as it stands.
func (r *foreign[V]) name() (string, []byte, error) {
	raw, err := r.dec.ReadValue()
	if err != nil {
		return "", nil, syntaxError(r.data, err)
	}
	name, err := jsontext.AppendUnquote(nil, raw)
	if err != nil {
		return "", nil, syntaxError(r.data, err)
	}
	return string(name), bytes.Clone(raw), nil
}

// next is where the next token begins.
func (r *foreign[V]) next() int { return r.skipSpace(int(r.dec.InputOffset())) }

// skipSpace passes punctuation as well.
func (r *foreign[V]) skipSpace(at int) int {
	for at < len(r.data) && strings.IndexByte(" \t\r\n:,", r.data[at]) >= 0 {
		at++
	}
	return at
}

func kindName(k jsontext.Kind) string {
	switch k {
	case jsontext.KindNull:
		return "null"
	case jsontext.KindFalse, jsontext.KindTrue:
		return "a boolean"
	case jsontext.KindString:
		return "a string"
	case jsontext.KindNumber:
		return "a number"
	case jsontext.KindBeginArray:
		return "an array"
	case jsontext.KindBeginObject:
		return "an object"
	}
	return "something else"
}

// excerpt is a value short enough for one line of an error.
func excerpt(value []byte) string {
	const limit = 40
	if len(value) > limit {
		return string(bytes.ToValidUTF8(value[:limit], nil)) + "…"
	}
	return string(value)
}
