package snapshot

import (
	"bytes"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// An entry's line is `"name": value`. The name is quoted the shortest way; a
// quarantined entry keeps the name as it was found.

// quoted is s as a JSON string. s must be valid UTF-8.
func quoted(s string) string { return string(appendQuoted(nil, s)) }

func appendQuoted(dst []byte, s string) []byte {
	dst, err := jsontext.AppendQuote(dst, s)
	if err != nil {
		panic("snapshot: quoting invalid UTF-8")
	}
	return dst
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

// nameAt reads the name that a line begins with, and says where the value
// begins; ok is false if it is not `"name": `.
func nameAt(line []byte) (name []byte, value int, ok bool) {
	if len(line) == 0 || line[0] != '"' {
		return nil, 0, false
	}
	n := 1
	for n < len(line) && line[n] >= 0x20 && line[n] < utf8.RuneSelf && line[n] != '"' && line[n] != '\\' {
		n++
	}
	if n < len(line) && line[n] == '"' { // the usual name is written as it is meant
		name, n = line[1:n], n+1
	} else {
		if n = 1 + closingQuote(string(line[:lineEnd(line)])); n == 0 {
			return nil, 0, false
		}
		var err error
		if name, err = jsontext.AppendUnquote(nil, line[:n]); err != nil {
			return nil, 0, false
		}
	}
	if !bytes.HasPrefix(line[n:], []byte(": ")) {
		return nil, 0, false
	}
	return name, n + len(": "), true
}

// lineEnd is where the first line of text ends.
func lineEnd(text []byte) int {
	if i := bytes.IndexByte(text, '\n'); i >= 0 {
		return i
	}
	return len(text)
}

// isKnown reports whether V has a member of that name, which the decoder
// decides: it knows about embedded structs and about names in another case.
func (c *Codec[V]) isKnown(name string) bool {
	if !c.carries {
		return true
	}
	w := newCarrier[V]()
	err := json.Unmarshal(object(name), w, skipMembers)
	return err != nil || len(w.Rest) == 0
}

// takeOver returns e with the members of old that V does not know.
func (c *Codec[V]) takeOver(old, e *entry[V]) *entry[V] {
	if old.state&(hasRest|quarantined) == 0 || !c.carries {
		return e
	}
	var rest []byte
	for m := range membersOf([]byte(old.line[valueAt(old.line):])) {
		if !c.isKnown(unquoted(m.name)) {
			rest = append(append(rest, ','), m.text...)
		}
	}
	if rest == nil {
		return e
	}
	line, isObject := strings.CutSuffix(e.line, "}")
	if !isObject { // a nil pointer
		return e
	}
	if strings.HasSuffix(line, "{") {
		rest = rest[1:]
	}
	merged := *e
	merged.state |= hasRest
	merged.line = line + string(rest) + "}"
	return &merged
}
