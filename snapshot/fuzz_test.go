package snapshot_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/machreg/machreg/snapshot"
)

// mixed is a value that is not read by its form, and is not copied by an
// assignment.
type mixed struct {
	S string         `json:"s"`
	N int            `json:"n,omitzero"`
	L []string       `json:"l"`
	M map[string]any `json:"m,omitempty"`
}

func mixedCodec(t testing.TB) *snapshot.Codec[mixed] {
	return codec(t, snapshot.Schema[mixed]{
		Collection: "machines",
		Check: func(name string, v *mixed) error {
			if v.N < 0 {
				return errors.New("n: negative")
			}
			v.S = strings.TrimSpace(v.S)
			return nil
		},
		Builtin: map[string]mixed{"local": {S: "here"}},
	})
}

// contents is all that a snapshot says, to be compared.
func contents[V any](s *snapshot.Snapshot[V]) string {
	var b strings.Builder
	for name, v := range s.All() {
		fmt.Fprintf(&b, "%q: %+v\n", name, v)
		if got, ok := s.Get(name); !ok || !reflect.DeepEqual(got, v) {
			fmt.Fprintf(&b, "but Get says %+v, %t\n", got, ok)
		}
	}
	fmt.Fprintf(&b, "%d entries\nquarantine %q\nmembers %q", s.Len(), s.Quarantine(), s.Members())
	return b.String()
}

// fileSeeds are files of all kinds.
func fileSeeds(t testing.TB) [][]byte {
	seeds := [][]byte{
		[]byte(baselineText),
		encode(t, machines(t).Empty()),
		encode(t, fleet(t, machines(t), 3)),
		encode(t, decode(t, machines(t), []byte(baselineText), nil).Snapshot),
		[]byte(`{"version":1,"machines":{"a":{"s":"x","n":-1,"l":null,"m":{"k":[1,{"":null}]}},"b":null,"c":7},"x":{}}`),
		[]byte(`{"version":1,"machines":null,"revision":9007199254740991}`),
	}
	for _, tt := range corrupt {
		if len(tt.text) < 1000 {
			seeds = append(seeds, []byte(tt.text))
		}
	}
	return seeds
}

// sealedVariant is data with the checksum put right, so that the fast decoder
// has a say.
func sealedVariant(data []byte) []byte {
	body := data
	if i := bytes.LastIndex(data, []byte(`"checksum": "crc32c:`)); i >= 0 {
		body = data[:i]
	}
	return sealed(string(body))
}

// Whatever is accepted is written back and read back as the same, and what is
// written is a fixed point that the fast decoder takes.
func FuzzDecode(f *testing.F) {
	for _, s := range fileSeeds(f) {
		f.Add(s)
	}
	m, x := machines(f), mixedCodec(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, data := range [][]byte{data, sealedVariant(data)} {
			fuzzDecode(t, m, data)
			fuzzDecode(t, x, data)
		}
	})
}

func fuzzDecode[V any](t *testing.T, c *snapshot.Codec[V], data []byte) {
	general, gerr := c.DecodeAny(data, nil)
	if fast, ok := c.DecodeOurs(data, nil); ok {
		if gerr != nil {
			t.Fatalf("the fast decoder takes what the general one refuses: %v\n%q", gerr, data)
		}
		if a, b := contents(fast.Snapshot), contents(general.Snapshot); a != b || fast.Snapshot.Revision() != general.Snapshot.Revision() && fast.Snapshot.Revision() <= 1<<62 {
			t.Fatalf("the fast decoder reads\n%s\nthe general one\n%s", a, b)
		}
	}
	d, err := c.Decode(data, nil)
	if err != nil {
		var ce *snapshot.CorruptError
		if !errors.As(err, &ce) || ce.Line < 1 || ce.Column < 1 || ce.Reason == "" || snapshot.CheckText(ce.Reason) != nil {
			t.Fatalf("error %#v", err)
		}
		return
	}
	want := contents(d.Snapshot)
	written := encode(t, d.Snapshot)
	if !json.Valid(written) {
		t.Fatalf("%q is written as what is not valid\n%q", data, written)
	}
	back, ok := c.DecodeOurs(written, nil)
	if !ok {
		t.Fatalf("the fast decoder does not take\n%q", written)
	}
	if got := contents(back.Snapshot); got != want {
		t.Fatalf("read\n%s\nwritten and read back\n%s", want, got)
	}
	if again := encode(t, back.Snapshot); !bytes.Equal(again, written) {
		t.Fatalf("written\n%q\nwritten again\n%q", written, again)
	}
	if same := decode(t, c, written, d.Snapshot); same.Parsed != 0 || !snapshot.SameEntries(same.Snapshot, d.Snapshot) {
		t.Fatalf("against itself: parsed %d of\n%q", same.Parsed, written)
	}
	other, err := c.DecodeAny(written, nil)
	if err != nil {
		t.Fatalf("the general decoder: %v\n%q", err, written)
	}
	if got := contents(other.Snapshot); got != want {
		t.Fatalf("read\n%s\nwritten and read by the general decoder\n%s", want, got)
	}
}

// What was read before changes nothing about what is read.
func FuzzDecodeRefresh(f *testing.F) {
	seeds := fileSeeds(f)
	for i, s := range seeds {
		f.Add(s, seeds[0])
		f.Add(seeds[3], s)
		f.Add(s, seeds[len(seeds)-1-i])
	}
	m, x := machines(f), mixedCodec(f)
	f.Fuzz(func(t *testing.T, before, data []byte) {
		for _, before := range [][]byte{before, sealedVariant(before)} {
			for _, data := range [][]byte{data, sealedVariant(data)} {
				fuzzRefresh(t, m, before, data)
				fuzzRefresh(t, x, before, data)
			}
		}
	})
}

func fuzzRefresh[V any](t *testing.T, c *snapshot.Codec[V], before, data []byte) {
	prev, err := c.Decode(before, nil)
	if err != nil {
		return
	}
	was := contents(prev.Snapshot)
	fresh, ferr := c.Decode(data, nil)
	next, nerr := c.Decode(data, prev.Snapshot)
	if ferr != nil || nerr != nil {
		if ferr == nil || nerr == nil || ferr.Error() != nerr.Error() {
			t.Fatalf("fresh: %v\nrefresh: %v", ferr, nerr)
		}
		return
	}
	if a, b := contents(fresh.Snapshot), contents(next.Snapshot); a != b || fresh.Snapshot.Revision() != next.Snapshot.Revision() || fresh.Ours != next.Ours {
		t.Fatalf("fresh, revision %d\n%s\nrefresh, revision %d\n%s", fresh.Snapshot.Revision(), a, next.Snapshot.Revision(), b)
	}
	if a, b := encode(t, fresh.Snapshot), encode(t, next.Snapshot); !bytes.Equal(a, b) {
		t.Fatalf("fresh is written\n%q\nrefresh\n%q", a, b)
	}
	changed := 0
	for name := range next.Snapshot.All() {
		if !snapshot.SameEntry(prev.Snapshot, next.Snapshot, name) {
			changed++
			if prev.Snapshot.Line(name) == next.Snapshot.Line(name) {
				t.Fatalf("%q is another entry with the same line %q", name, next.Snapshot.Line(name))
			}
		}
	}
	if changed > next.Parsed+1 { // a built-in entry is not parsed
		t.Fatalf("%d entries changed, %d were parsed", changed, next.Parsed)
	}
	if got := contents(prev.Snapshot); got != was {
		t.Fatalf("the snapshot before was\n%s\nand is\n%s", was, got)
	}
}

// A name that is allowed is stored and found, and shows nothing but itself; a
// message made of any text is one that is allowed.
func FuzzCheckText(f *testing.F) {
	for _, s := range []string{"", "build-01", "é\u200d日本", "\x00", "a\u202eb", "\xff", "\u2028", "\ufeff", "\U000e0041", `q"\`, "👩\u200d💻\ufe0f"} {
		f.Add(s)
	}
	c := machines(f)
	f.Fuzz(func(t *testing.T, s string) {
		if p := snapshot.Printable(s); snapshot.CheckText(p) != nil {
			t.Fatalf("Printable(%q) = %q: %v", s, p, snapshot.CheckText(p))
		} else if snapshot.CheckText(s) == nil && p != s {
			t.Fatalf("Printable(%q) = %q", s, p)
		}
		e, err := c.Entry(s, machine{Type: "ssh", Host: "h" + s})
		if refused := snapshot.CheckText(s) != nil || s == ""; refused != (err != nil) {
			t.Fatalf("Entry(%q): %v", s, err)
		}
		if err != nil {
			return
		}
		for i, r := range s {
			if r < ' ' || r == 0x7f || r == utf8.RuneError && !strings.HasPrefix(s[i:], "\ufffd") {
				t.Fatalf("%q is allowed", s)
			}
		}
		edit := c.Empty().Edit()
		edit.Apply(snapshot.Write[machine]{Put: []snapshot.Entry[machine]{e}})
		data := encode(t, edit.Snapshot())
		back, ok := c.DecodeOurs(data, nil)
		if m, found := back.Snapshot.Get(s); !ok || !found || m.Name != s || m.Host != "h"+s {
			t.Fatalf("%q is read back as %+v, %t from\n%s", s, m, found, data)
		}
	})
}
