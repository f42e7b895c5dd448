package snapshot_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/machreg/machreg/snapshot"
)

// corrupt are files that must not be used, and what is said about them.
var corrupt = []struct {
	name, text   string
	line, column int
	reason       string
}{
	{"empty", "", 1, 1, "the file is empty"},
	{"only space", " \n\t", 2, 2, "unexpected end of file"},
	{"byte order mark", "\ufeff{\"version\":1,\"machines\":{}}", 1, 1, "begins with a byte order mark; save it as UTF-8 without one"},
	{"null", "null", 1, 1, "want a JSON object, found null"},
	{"array", "\n [{}]", 2, 2, "want a JSON object, found an array"},
	{"string", `"machines"`, 1, 1, "want a JSON object, found a string"},
	{"number", "42", 1, 1, "want a JSON object, found a number"},
	{"boolean", "true", 1, 1, "want a JSON object, found a boolean"},
	{"no JSON", "version: 1", 1, 1, "invalid character 'v' at start of value"},
	{"NUL bytes", "\x00\x00\x00\x00", 1, 1, `invalid character '\x00' at start of value`},

	{"trailing object", "{\"version\":1,\"machines\":{}}\n{}", 2, 1, "data after the end of the registry"},
	{"trailing brace", "{\"version\":1,\"machines\":{}} }", 1, 29, "data after the end of the registry"},
	{"trailing NUL", "{\"version\":1,\"machines\":{}}\x00", 1, 28, "data after the end of the registry"},

	{"no version", `{"machines":{}}`, 1, 15, `no member "version": not a registry file`},
	{"no machines", "{\n\"version\":1\n}", 3, 1, `no member "machines": not a registry file of this kind`},
	{"version 2", "{\"version\": 2,\"machines\":{}}", 1, 13, "unknown version 2: this program reads version 1"},
	{"version as string", "{\"version\":\"1\",\"machines\":{}}", 1, 12, `unknown version "1": this program reads version 1`},
	{"version null", "{\"version\":null,\"machines\":{}}", 1, 12, "unknown version null: this program reads version 1"},
	{"long version", `{"version":"` + strings.Repeat("é", 50) + `"}`, 1, 12, `unknown version "` + strings.Repeat("é", 19) + `…: this program reads version 1`},
	{"version for a terminal", "{\"version\":\"\u009b31m\u202e\"}", 1, 12, `unknown version "<U+009B>31m<U+202E>": this program reads version 1`},
	{"escaped version", `{"\u0076ersion":7,"machines":{}}`, 1, 17, "unknown version 7: this program reads version 1"},
	{"negative revision", `{"version":1,"revision":-1,"machines":{}}`, 1, 25, "revision -1 is not a whole number from 0 to 9007199254740991"},
	{"fractional revision", `{"version":1,"revision":1.5,"machines":{}}`, 1, 25, "revision 1.5 is not a whole number from 0 to 9007199254740991"},
	{"huge revision", `{"version":1,"revision":9007199254740992,"machines":{}}`, 1, 25, "revision 9007199254740992 is not a whole number from 0 to 9007199254740991"},
	{"machines is an array", "{\"version\":1,\n \"machines\": []}", 2, 14, `"machines" is an array, want an object`},
	{"machines is a string", "{\"version\":1,\n \"machines\":\"x\"}", 2, 13, `"machines" is a string, want an object`},

	{"duplicate version", `{"version":1,"version":1,"machines":{}}`, 1, 14, `duplicate name "version"`},
	{"duplicate by escape", `{"version":1,"\u0076ersion":1,"machines":{}}`, 1, 14, `duplicate name "version"`},
	{"duplicate unknown member", `{"version":1,"machines":{},"x":1,"x":2}`, 1, 34, `duplicate name "x"`},
	{"duplicate collection", `{"version":1,"machines":{},"machines":{}}`, 1, 28, `duplicate name "machines"`},
	{"duplicate machine", "{\"version\":1,\"machines\":{\n\"a\":{},\n \"a\":{}}}", 3, 2, `duplicate name "a"`},
	{"duplicate machine by escape", "{\"version\":1,\"machines\":{\n\"a\":{},\n \"\\u0061\":{}}}", 3, 2, `duplicate name "a"`},
	{"duplicate member", "{\"version\":1,\"machines\":{\n\"a\":{\"type\":\"x\",\"type\":\"y\"}}}", 2, 17, `duplicate name "type"`},
	{"duplicate deep inside", "{\"version\":1,\"machines\":{\n\"a\":{\"x\":[{\"y\":1,\"y\":1}]}}}", 2, 18, `duplicate name "y"`},

	{"invalid UTF-8 in a name", "{\"version\":1,\"machines\":{\"é\xff\":{}}}", 1, 28, "invalid UTF-8"},
	{"invalid UTF-8 in a value", "{\"version\":1,\"machines\":{\n\"a\":{\"type\":\"é\xff\"}}}", 2, 15, "invalid UTF-8"},
	{"invalid UTF-8 in an unknown member", "{\"version\":1,\"machines\":{},\"\xc3(\":1}", 1, 29, "invalid UTF-8"},
	{"half a surrogate pair", `{"version":1,"machines":{"a":{"type":"\ud800"}}}`, 1, 39, "invalid surrogate pair"},
	{"raw control character", "{\"version\":1,\"machines\":{\"a\":{\"type\":\"a\tb\"}}}", 1, 40, `invalid character '\t' in string (expecting non-control character)`},
	{"bad escape", `{"version":1,"machines":{"a":{"type":"\x"}}}`, 1, 39, "invalid escape sequence"},

	{"missing comma", "{\"version\":1\n\"machines\":{}}", 2, 1, `invalid character '"' after object value (expecting ',' or '}')`},
	{"trailing comma", "{\"version\":1,\"machines\":{\n\"a\":{\"type\":\"local\"},\n}}", 2, 21, "invalid character ','"},
	{"bad literal", `{"version":1,"machines":{"a":{"x":tru}}}`, 1, 38, "invalid character '}' in literal true (expecting 'e')"},
	{"bad null", `{"version":1,"machines":nul}`, 1, 28, "invalid character '}' in literal null (expecting 'l')"},
	{"leading zero", `{"version":1,"machines":{"a":{"x":01}}}`, 1, 36, "invalid character '1' after object value"},
	{"single quotes", `{'version':1}`, 1, 2, `invalid character '\''`},
	{"comment", "{\"version\":1, // one\n\"machines\":{}}", 1, 15, "invalid character '/'"},
	{"too deep in an entry", `{"version":1,"machines":{"a":` + strings.Repeat("[", 10_001) + strings.Repeat("]", 10_001) + `}}`, 1, 10_028, "exceeded max depth"},
	{"too deep in a member", `{"version":1,"x":` + strings.Repeat(`{"x":`, 10_001) + "1" + strings.Repeat("}", 10_001) + `}`, 1, 50_013, "exceeded max depth"},
}

func checkCorrupt(t *testing.T, err error, line, column int, reason string) {
	t.Helper()
	var c *snapshot.CorruptError
	if !errors.As(err, &c) || !errors.Is(err, snapshot.ErrCorrupt) {
		t.Fatalf("error %v (%T), want a *CorruptError", err, err)
	}
	if c.Line != line || c.Column != column || !strings.Contains(c.Reason, reason) {
		t.Errorf("error at line %d, column %d: %s\nwant    line %d, column %d: %s", c.Line, c.Column, c.Reason, line, column, reason)
	}
	if snapshot.CheckText(c.Reason) != nil {
		t.Errorf("reason %q could reach a terminal", c.Reason)
	}
}

func TestCorruptContent(t *testing.T) {
	c := machines(t)
	good := fleet(t, c, 3)
	for _, tt := range corrupt {
		t.Run(tt.name, func(t *testing.T) {
			for _, prev := range []*snapshot.Snapshot[machine]{nil, good} {
				_, err := c.Decode([]byte(tt.text), prev)
				checkCorrupt(t, err, tt.line, tt.column, tt.reason)
			}
		})
	}
}

// However much of a file is there, if it is not all there it is refused, and
// the place is where it ends.
func TestCorruptHalf(t *testing.T) {
	c := machines(t)
	for kind, data := range map[string][]byte{
		"ours":     encode(t, fleet(t, c, 3)),
		"baseline": []byte(baselineText),
	} {
		end := len(strings.TrimRight(string(data), "\n"))
		for n := range end {
			half := string(data[:n])
			_, err := c.Decode([]byte(half), nil)
			var ce *snapshot.CorruptError
			if !errors.As(err, &ce) {
				t.Fatalf("%s, %d of %d bytes: %v", kind, n, len(data), err)
			}
			at := fmt.Sprintf("%d:%d", ce.Line, ce.Column)
			lines := strings.Split(half, "\n")
			want := fmt.Sprintf("%d:%d", len(lines), 1+len([]rune(lines[len(lines)-1])))
			if at != want || n > 0 && ce.Reason != "unexpected end of file" {
				t.Errorf("%s, %d of %d bytes: %v, want the end, %s", kind, n, len(data), err, want)
			}
		}
	}
}

// With the right checksum over it, what is not the written form is still
// judged by the general decoder.
func TestCorruptWithRightChecksum(t *testing.T) {
	c := machines(t)
	deep := strings.Repeat("[", 9_999) + strings.Repeat("]", 9_999)
	for name, body := range map[string]string{
		"no quote before a name":          `Xa": {"type":"local"}`,
		"raw control character in a name": "\"a\tb\": {\"type\":\"local\"}",
		"invalid UTF-8 in a name":         "\"a\xff\": {\"type\":\"local\"}",
		"half a surrogate pair":           `"\ud800": {"type":"local"}`,
		"invalid UTF-8 in a value":        "\"a\": {\"type\":\"\xff\"}",
		"control character in a value":    "\"a\": {\"type\":\"\x01\"}",
		"duplicate":                       "\"a\": {\"type\":\"local\"},\n\"a\": {\"type\":\"local\"}",
		"two values":                      `"a": {"type":"local"} {}`,
		"no value":                        `"a": `,
		"empty line":                      "",
		"deep":                            `"a": {"type":"local","x":` + deep + `}`,
	} {
		checked := sealed(`{` + "\n\"version\": 1,\n\"revision\": 1,\n\"machines\": {\n" + body + "\n},\n")
		if d, err := c.Decode(checked, nil); err == nil && !(name == "empty line") {
			t.Errorf("%s: accepted as %q", name, encode(t, d.Snapshot))
		} else if err != nil && !errors.Is(err, snapshot.ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, members := range []string{",\n", " ,\n", "\"version\": 1,\n", "\"machines\": {},\n", "\"\\u0076ersion\": 1,\n", "\"x\": 1},\n", "\"x\": 1, \"x\": 2,\n", "1,\n"} {
		checked := sealed("{\n\"version\": 1,\n\"revision\": 1,\n\"machines\": {\n},\n" + members)
		if d, err := c.Decode(checked, nil); !errors.Is(err, snapshot.ErrCorrupt) {
			t.Errorf("members %q: accepted as %q", members, encode(t, d.Snapshot))
		}
	}
}
