package snapshot

import (
	"bytes"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// An entry's line is `"name": value`. The name is quoted the shortest way; a
// quarantined entry keeps the name as it was found.

// quoted is s as a JSON string. s must be valid UTF-8.
func quoted(s string) string {
	q, err := jsontext.AppendQuote(nil, s)
	if err != nil {
		panic("snapshot: quoting invalid UTF-8")
	}
	return string(q)
}

// valueAt is where the value of a line begins.
func valueAt(line string) int { return closingQuote(line) + len(`": `) }

// closingQuote is where the string that s begins with ends, or -1.
func closingQuote(s string) int {
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '"':
			return i
		case '\\':
			i++
		}
	}
	return -1
}

// member is one member of a JSON object, by its place in the object's bytes.
type member struct {
	name       string // unescaped
	start, end int    // from the name's opening quote to the end of the value
	value      int    // where the value begins
}

// members lists the members of an object. object must be valid JSON; a value
// of another kind has none.
func membersOf(object []byte) []member {
	dec := jsontext.NewDecoder(bytes.NewBuffer(object))
	if dec.PeekKind() != jsontext.KindBeginObject {
		return nil
	}
	dec.ReadToken()
	var list []member
	for dec.PeekKind() == jsontext.KindString {
		raw, err := dec.ReadValue()
		if err != nil {
			return nil
		}
		m := member{start: int(dec.InputOffset()) - len(raw)}
		name, err := jsontext.AppendUnquote(nil, raw)
		if err != nil {
			return nil
		}
		m.name = string(name)
		value, err := dec.ReadValue()
		if err != nil {
			return nil
		}
		m.end = int(dec.InputOffset())
		m.value = m.end - len(value)
		list = append(list, m)
	}
	return list
}

// isKnown reports whether V has a member of that name. V itself is asked: a
// null suits every type, so whatever is left over is unknown.
func (c *Codec[V]) isKnown(name string) bool {
	if !c.carries {
		return true
	}
	if known, ok := c.known.Load(name); ok {
		return known.(bool)
	}
	var w carrier[V]
	err := json.Unmarshal([]byte("{"+quoted(name)+":null}"), &w)
	known := err != nil || len(w.Rest) == 0
	c.known.Store(name, known)
	return known
}

// foreignLine is the line of an entry that something else wrote: the name and
// the members that V knows without white space, the others byte for byte. A
// quarantined entry is not touched.
func (c *Codec[V]) foreignLine(name string, rawName, rawValue []byte) string {
	if _, err := c.decodeValue(name, rawValue); err != nil {
		return string(rawName) + ": " + string(rawValue)
	}
	var b strings.Builder
	b.WriteString(quoted(name))
	b.WriteString(": ")
	if !c.carries {
		b.WriteString(compact(rawValue))
		return b.String()
	}
	b.WriteByte('{')
	for i, m := range membersOf(rawValue) {
		if i > 0 {
			b.WriteByte(',')
		}
		if c.isKnown(m.name) {
			b.WriteString(quoted(m.name))
			b.WriteByte(':')
			b.WriteString(compact(rawValue[m.value:m.end]))
		} else {
			b.Write(rawValue[m.start:m.end])
		}
	}
	b.WriteByte('}')
	return b.String()
}

// compact is value without white space; strings and numbers stay as they are.
func compact(value []byte) string {
	v := jsontext.Value(bytes.Clone(value))
	if err := v.Compact(); err != nil {
		panic("snapshot: compacting invalid JSON")
	}
	return string(v)
}

// takeOver returns e with the members of old that V does not know.
func (c *Codec[V]) takeOver(old, e *entry[V]) *entry[V] {
	if old.state&(hasRest|quarantined) == 0 || !c.carries {
		return e
	}
	value := []byte(old.line[valueAt(old.line):])
	var rest []byte
	for _, m := range membersOf(value) {
		if !c.isKnown(m.name) {
			rest = append(append(rest, ','), value[m.start:m.end]...)
		}
	}
	if rest == nil {
		return e
	}
	line := strings.TrimSuffix(e.line, "}")
	if strings.HasSuffix(line, "{") {
		rest = rest[1:]
	}
	merged := *e
	merged.state |= hasRest
	merged.line = line + string(rest) + "}"
	return &merged
}
