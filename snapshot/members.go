package snapshot

import (
	"bytes"
	"iter"

	"github.com/go-json-experiment/json/jsontext"
)

// What is here walks JSON that a decoder has found valid, and relies on it.

// member is one member of a JSON object, in the object's own bytes.
type member struct {
	name  []byte // as written, with its quotes
	value []byte
	text  []byte // both, and all between them
}

// membersOf yields the members of an object. A value of another kind has none.
func membersOf(object []byte) iter.Seq[member] {
	return func(yield func(member) bool) {
		at := skipSpace(object, 0)
		if object[at] != '{' {
			return
		}
		for at = skipSpace(object, at+1); object[at] != '}'; {
			start := at
			end := skipValue(object, at)
			value := skipSpace(object, skipSpace(object, end)+1) // past the colon
			at = skipValue(object, value)
			if !yield(member{object[start:end], object[value:at], object[start:at]}) {
				return
			}
			if at = skipSpace(object, at); object[at] == ',' {
				at = skipSpace(object, at+1)
			}
		}
	}
}

// unquoted is the text of a JSON string.
func unquoted(quoted []byte) string {
	text, err := jsontext.AppendUnquote(nil, quoted)
	if err != nil {
		panic("snapshot: unquoting invalid JSON")
	}
	return string(text)
}

func skipSpace(text []byte, at int) int {
	for at < len(text) && isSpace(text[at]) {
		at++
	}
	return at
}

// skipValue is where the value ends that begins at text[at].
func skipValue(text []byte, at int) int {
	depth := 0
	for ; at < len(text); at++ {
		switch text[at] {
		case '"':
			at = skipString(text, at) - 1
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 { // of what holds a number or a literal
				return at
			}
			depth--
		case ',', ' ', '\t', '\r', '\n':
			if depth == 0 {
				return at
			}
			continue
		default:
			continue
		}
		if depth == 0 {
			return at + 1
		}
	}
	return at
}

// skipString is where the string ends that begins at text[at].
func skipString(text []byte, at int) int {
	for {
		at += 1 + bytes.IndexByte(text[at+1:], '"')
		escapes := 0
		for text[at-1-escapes] == '\\' {
			escapes++
		}
		if escapes%2 == 0 {
			return at + 1
		}
	}
}

// appendCompact appends value without white space; strings and numbers stay as
// they are.
func appendCompact(dst, value []byte) []byte {
	for at := 0; at < len(value); {
		switch {
		case isSpace(value[at]):
			at++
		case value[at] == '"':
			end := skipString(value, at)
			dst = append(dst, value[at:end]...)
			at = end
		default:
			dst = append(dst, value[at])
			at++
		}
	}
	return dst
}

func isSpace(b byte) bool { return b == ' ' || b == '\t' || b == '\r' || b == '\n' }
