package snapshot_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/machreg/machreg/snapshot"
)

// Entries that cannot be used are reported, hidden, and written back as they
// were, until somebody writes or removes an entry of that name.
func TestQuarantine(t *testing.T) {
	c := machines(t)
	bad := map[string][2]string{ // by name: as written, and why
		"no-host":        {`"no-host": { "name":"no-host", "type":"ssh" }`, "host: missing"},
		"no-type":        {`"no-type": {}`, "type: missing"},
		"wrong":          {`"wrong": {"type": 7}`, "/type: wrong kind of value (number)"},
		"list":           {`"list": [1,  2]`, "value: wrong kind of value ([)"},
		"other-name":     {`"other-name": {"name":"x","type":"local"}`, `name: is "x", want the entry's own`},
		"":               {`"": {"type":"local"}`, "name: empty"},
		"esc\x1b[31m":    {`"esc\u001b[31m": {"type":"local"}`, "name: character U+001B at byte 3 is not allowed"},
		"nul\x00":        {`"\u006eul\u0000": {"type":"local"}`, "name: character U+0000 at byte 3 is not allowed"},
		"two\nlines":     {"\"two\\nlines\": {\"type\":\n\"local\"}", "name: character U+000A at byte 3 is not allowed"},
		"rtl\u202e":      {"\"rtl\u202e\": {\"type\":\"local\"}", "name: character U+202E at byte 3 is not allowed"},
		"local":          {`"local": {"type":"ssh"}`, "host: missing"},
		"dash":           {`"dash": {"type":"ssh","host":"-oProxyCommand=x"}`, "host: begins with a dash"},
		"pointer\u009b1": {`"pointer` + "\\u009b" + `1": {"type":"local"}`, "name: character U+009B at byte 7 is not allowed"},
	}
	var lines []string
	for _, b := range bad {
		lines = append(lines, b[0])
	}
	lines = append(lines, `"good": {"type":"local"}`)
	snap := decode(t, c, []byte(`{"version":1,"machines":{`+strings.Join(lines, ",\n")+`}}`), nil).Snapshot

	check := func(step string, snap *snapshot.Snapshot[machine], gone ...string) {
		t.Helper()
		reasons := make(map[string]string)
		for _, q := range snap.Quarantine() {
			reasons[q.Name] = q.Reason
			if snapshot.CheckText(q.Reason) != nil {
				t.Errorf("%s: reason %q could reach a terminal", step, q.Reason)
			}
		}
		data := string(encode(t, snap))
		for name, b := range bad {
			want := b[1]
			if slices.Contains(gone, name) {
				want = ""
			}
			if reasons[name] != want {
				t.Errorf("%s: reason of %q = %q, want %q", step, name, reasons[name], want)
			}
			if strings.Contains(data, b[0]) != (want != "") {
				t.Errorf("%s: the file holds %q: %t\n%s", step, b[0], want == "", data)
			}
			if _, ok := snap.Get(name); ok != (name == "local" || want == "") {
				t.Errorf("%s: Get(%q) = %t", step, name, ok)
			}
		}
		for name := range snap.All() {
			if want := bad[name][1]; name != "local" && want != "" && !slices.Contains(gone, name) {
				t.Errorf("%s: All yields %q", step, name)
			}
		}
		if want := len(gone) + 2; snap.Len() != want { // good and local are there throughout
			t.Errorf("%s: Len = %d, want %d", step, snap.Len(), want)
		}
		if !snap.Holds("no-type") {
			t.Errorf("%s: Holds does not see an entry in quarantine", step)
		}
	}
	check("loaded", snap)
	data := encode(t, snap)
	for _, prev := range []*snapshot.Snapshot[machine]{nil, snap, c.Empty()} {
		back, ok := c.DecodeOurs(data, prev)
		if !ok {
			t.Fatalf("the fast decoder does not take\n%s", data)
		}
		check("read back", back.Snapshot)
	}

	edit := snap.Edit()
	edit.Apply(put(t, c, "no-host", machine{Type: "ssh", Host: "h"}))
	check("written", edit.Snapshot(), "no-host")
	if old, _ := snap.Get("local"); old.Type != "local" {
		t.Errorf("local = %+v", old)
	}
	if d := snapshot.Diff(snap, edit.Snapshot()); len(d.Added) != 1 || len(d.Removed)+len(d.Updated) > 0 {
		t.Errorf("the difference is %+v, want one added", d)
	}
}

// A write over an entry in quarantine keeps the members that V does not know.
func TestQuarantineTakeOver(t *testing.T) {
	c := machines(t)
	snap := decode(t, c, []byte(`{"version":1,"machines":{"a":{"type":"ssh","x" : [1, 2]}}}`), nil).Snapshot
	edit := snap.Edit()
	edit.Apply(put(t, c, "a", machine{Type: "local"}))
	want := `"a": {"name":"a","type":"local","host":"","key_path":"","town_path":"","x" : [1, 2]}`
	if got := edit.Snapshot().Line("a"); got != want {
		t.Errorf("line %s, want %s", got, want)
	}
}

// The shapes a V may have.
type (
	inner    struct{ Q string }
	embedded struct {
		inner
		*other
		Rest, Value, Embed string
	}
	other   struct{ O int }
	omitted struct {
		A int    `json:"a,omitzero"`
		S string `json:"s,omitempty"`
		N nested `json:"n,omitzero"`
	}
	nested struct{ X, Y int }
	keeper struct {
		A    int            `json:"a"`
		More jsontext.Value `json:",embed"`
	}
	keeperMap struct {
		A    int                       `json:"a"`
		More map[string]jsontext.Value `json:",embed"`
	}
	folded struct {
		A string `json:"aa,case:ignore"`
	}
	text    struct{ s string }
	ignored struct {
		A string
		B string `json:"-"`
	}
	pair struct {
		A string `json:"a"`
		B string `json:"b,omitempty"`
	}
)

func (x text) MarshalText() ([]byte, error)  { return []byte(x.s), nil }
func (x *text) UnmarshalText(b []byte) error { x.s = string(b); return nil }

// testShape loads an entry, checks how it is written back, and that a value
// put over it keeps what it should.
func testShape[V any](t *testing.T, name, text, want string, v V, wantPut string) {
	t.Helper()
	t.Run(name, func(t *testing.T) {
		c := codec(t, snapshot.Schema[V]{Collection: "m"})
		snap := decode(t, c, []byte(`{"version":1,"m":{"e":`+text+`}}`), nil).Snapshot
		if q := snap.Quarantine(); q != nil {
			t.Fatalf("quarantine: %v", q)
		}
		if got := snap.Line("e"); got != `"e": `+want {
			t.Errorf("%s is written as %s, want %s", text, got, want)
		}
		edit := snap.Edit()
		edit.Apply(put(t, c, "e", v))
		got := edit.Snapshot()
		if line := got.Line("e"); line != `"e": `+wantPut {
			t.Errorf("%+v is written as %s, want %s", v, line, wantPut)
		}
		a, _ := got.Get("e")
		if fmt.Sprintf("%+v", a) != fmt.Sprintf("%+v", v) {
			t.Errorf("put %+v, got %+v", v, a)
		}
		data := encode(t, got)
		back := decode(t, c, data, nil)
		b, _ := back.Snapshot.Get("e")
		if fmt.Sprintf("%+v", b) != fmt.Sprintf("%+v", v) || !back.Ours {
			t.Errorf("put %+v, read back %+v from\n%s", v, b, data)
		}
		if again := decode(t, c, data, back.Snapshot); again.Parsed != 0 || !snapshot.SameEntries(again.Snapshot, back.Snapshot) {
			t.Errorf("read again: parsed %d", again.Parsed)
		}
		if !json.Valid(data) {
			t.Errorf("not valid\n%s", data)
		}
	})
}

func TestShapes(t *testing.T) {
	testShape(t, "embedded", `{"Q":"q", "x":1, "Rest":"r","Value":"v"}`, `{"Q":"q","x":1,"Rest":"r","Value":"v"}`,
		embedded{inner: inner{"p"}, Embed: "e"}, `{"Q":"p","Rest":"","Value":"","Embed":"e","x":1}`)
	testShape(t, "all omitted", `{ "x" : 1, "a":0, "n":{"X":1,"z":2}}`, `{"x" : 1,"a":0,"n":{"X":1,"z":2}}`,
		omitted{}, `{"x" : 1}`)
	testShape(t, "omitzero", `{"x":[ ]}`, `{"x":[ ]}`, omitted{S: "s"}, `{"s":"s","x":[ ]}`)
	testShape(t, "null struct", `null`, `null`, omitted{A: 1}, `{"a":1}`)
	testShape(t, "own fallback", `{"a":1, "x":2}`, `{"a":1,"x":2}`,
		keeper{A: 3, More: jsontext.Value(`{"x":4}`)}, `{"a":3,"x":4}`)
	testShape(t, "own fallback map", `{"a":1, "x":2}`, `{"a":1,"x":2}`,
		keeperMap{A: 3, More: map[string]jsontext.Value{"x": jsontext.Value("4")}}, `{"a":3,"x":4}`)
	testShape(t, "case ignored", `{"AA":"x", "AB":1}`, `{"AA":"x","AB":1}`, folded{"y"}, `{"aa":"y","AB":1}`)
	testShape(t, "text", `"x"`, `"x"`, text{"y"}, `"y"`)
	testShape(t, "ignored field", `{"A":"x","B":"y"}`, `{"A":"x","B":"y"}`, ignored{A: "z"}, `{"A":"z","B":"y"}`)
	testShape(t, "string", `"x"`, `"x"`, "y", `"y"`)
	testShape(t, "number", ` 1 `, `1`, 2, `2`)
	testShape(t, "map", `{"b": 1, "a" :2}`, `{"b":1,"a":2}`, map[string]int{"z": 1, "c": 2}, `{"c":2,"z":1}`)
	testShape(t, "slice", `["a", "b" ]`, `["a","b"]`, []string{"c"}, `["c"]`)
	testShape(t, "raw", `{ "a" : [1, "x y"] }`, `{"a":[1,"x y"]}`, jsontext.Value(`{"b":1.0}`), `{"b":1.0}`)
	testShape(t, "any", `{ "a" : 1 }`, `{"a":1}`, any("x"), `"x"`)
	testShape(t, "empty struct", `{ "a" : 1 }`, `{"a" : 1}`, struct{}{}, `{"a" : 1}`)
	testShape(t, "time", `"2024-01-02T03:04:05Z"`, `"2024-01-02T03:04:05Z"`, time.Date(2025, 1, 2, 3, 4, 5, 0, time.UTC), `"2025-01-02T03:04:05Z"`)
	testShape(t, "escapes", `{"a":"\u0041\/ \"x\"\n", "x":"\u0041\/"}`, `{"a":"\u0041\/ \"x\"\n","x":"\u0041\/"}`,
		pair{"\"q\" \\ \u2028 \x01", "‹0›"}, `{"a":"\"q\" \\ `+"\u2028"+` \u0001","b":"‹0›","x":"\u0041\/"}`)
	testShape(t, "punctuation in strings", `{"x" :"}{][,:\"\\\\", "a":"}{][,:\\\\" ,"y":-1.5e3}`, `{"x" :"}{][,:\"\\\\","a":"}{][,:\\\\","y":-1.5e3}`,
		pair{A: "a"}, `{"a":"a","x" :"}{][,:\"\\\\","y":-1.5e3}`)
}

func TestPointerShape(t *testing.T) {
	c := codec(t, snapshot.Schema[*pair]{Collection: "m"})
	snap := decode(t, c, []byte(`{"version":1,"m":{"e": null, "f":{"a":"x"}}}`), nil).Snapshot
	if p, ok := snap.Get("e"); !ok || p != nil {
		t.Errorf("Get(e) = %v, %t", p, ok)
	}
	p, _ := snap.Get("f")
	p.A = "changed"
	if q, _ := snap.Get("f"); q.A != "x" {
		t.Error("a caller reached into the snapshot")
	}
}

// A name is any text without what CheckText refuses.
func TestNames(t *testing.T) {
	c := machines(t)
	names := []string{`q"uote`, `back\slash`, `\"`, `\`, `"`, `": {`, "}", "a,b", " ", "/", "é", "日本", "👩‍💻", "<&>", "\ufffd", "version", "checksum", strings.Repeat("n", 70_000)}
	snap := c.Empty()
	for _, name := range names {
		edit := snap.Edit()
		edit.Apply(put(t, c, name, machine{Type: "local", Host: name}))
		snap = edit.Snapshot()
	}
	data := encode(t, snap)
	back, ok := c.DecodeOurs(data, nil)
	if !ok {
		t.Fatal("the fast decoder does not take it")
	}
	general, err := c.DecodeAny(data, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		for _, s := range []*snapshot.Snapshot[machine]{snap, back.Snapshot, general.Snapshot} {
			if m, ok := s.Get(name); !ok || m.Name != name || m.Host != name || s.Line(name) != snap.Line(name) {
				t.Errorf("Get(%.80q) = %.80q, %t", name, m, ok)
			}
		}
	}
	for _, name := range []string{"", "a\n", "\x00", "\x1b[0m", "a\xff", "a\u202eb", "a\u200bb", "\ufeff"} {
		if _, err := c.Entry(name, machine{Type: "local"}); err == nil {
			t.Errorf("Entry(%q) is accepted", name)
		}
	}
}

// A Check that completes values, and one that panics.
func TestCheck(t *testing.T) {
	type tagged struct {
		A    string   `json:"a"`
		Tags []string `json:"tags"`
		Self string   `json:"-"`
	}
	c := codec(t, snapshot.Schema[tagged]{Collection: "m", Check: func(name string, v *tagged) error {
		if v.A == "panic" {
			panic("no such value\x1b")
		}
		v.Self, v.A = name, strings.ToUpper(v.A)
		return nil
	}})
	snap := decode(t, c, []byte(`{"version":1,"m":{"e":{"a":"x","tags":["t"]},"p":{"a":"panic"}}}`), nil).Snapshot
	for range 2 {
		if v, _ := snap.Get("e"); v.Self != "e" || v.A != "X" || v.Tags[0] != "t" {
			t.Errorf("Get = %+v", v)
		} else {
			v.Tags[0] = "changed"
		}
	}
	if q := snap.Quarantine(); len(q) != 1 || q[0].Name != "p" || q[0].Reason != "panic: no such value<U+001B>" {
		t.Errorf("quarantine %q", q)
	}
	defer func() {
		if recover() == nil {
			t.Error("a panic in the caller's own Entry is swallowed")
		}
	}()
	c.Entry("e", tagged{A: "panic"})
}

// Nobody who gets or gives a value can reach what others see.
func TestNoSharing(t *testing.T) {
	type bag struct {
		List []string
		Map  map[string]int
		P    *int
	}
	for _, clone := range []func(bag) bag{nil, func(b bag) bag {
		n := *b.P
		return bag{slices.Clone(b.List), map[string]int{"k": b.Map["k"]}, &n}
	}} {
		c := codec(t, snapshot.Schema[bag]{Collection: "m", Clone: clone, Builtin: map[string]bag{"b": {[]string{"a"}, map[string]int{"k": 1}, new(int)}}})
		wreck := func(b bag) { b.List[0], b.Map["k"], *b.P = "wrecked", 666, 666 }
		one := 1
		v := bag{[]string{"a"}, map[string]int{"k": 1}, &one}
		base := decode(t, c, []byte(`{"version":1,"m":{"b":"quarantined"}}`), nil).Snapshot
		edit := base.Edit()
		edit.Apply(put(t, c, "e", v))
		snap := edit.Snapshot()
		wreck(v)
		for range 2 {
			for _, get := range []func() bag{
				func() bag { b, _ := snap.Get("e"); return b },
				func() bag { b, _ := snap.Get("b"); return b },
				func() bag { b, _ := edit.Get("e"); return b },
				func() bag { return snapshot.Diff(base, snap).Added[0].Value },
				func() bag { return snapshot.Diff(snap, base).Removed[0].Value },
				func() bag {
					for _, b := range snap.All() {
						return b
					}
					return bag{}
				},
			} {
				if b := get(); b.List[0] != "a" || b.Map["k"] != 1 || *b.P > 1 {
					t.Fatalf("got %+v", b)
				} else {
					wreck(b)
				}
			}
		}
	}
}

func TestGetAllocatesNothing(t *testing.T) {
	snap := fleet(t, machines(t), 1000)
	for _, name := range []string{"build-000007", "local", "none"} {
		if n := testing.AllocsPerRun(100, func() { snap.Get(name) }); n != 0 {
			t.Errorf("Get(%q) allocates %v times", name, n)
		}
	}
}

func TestNewCodecRefuses(t *testing.T) {
	for _, name := range []string{"", "version", "revision", "checksum", "a\nb", "\xff"} {
		if _, err := snapshot.NewCodec(snapshot.Schema[machine]{Collection: name}); err == nil {
			t.Errorf("collection %q is accepted", name)
		}
	}
	if _, err := snapshot.NewCodec(snapshot.Schema[machine]{Collection: "m", Check: checkMachine, Builtin: map[string]machine{"x": {}}}); err == nil {
		t.Error("a built-in entry that Check refuses is accepted")
	}
}

// What nests too deep for any reader of the file is refused on the way in.
func TestTooDeepToWrite(t *testing.T) {
	c := codec(t, snapshot.Schema[jsontext.Value]{Collection: "m"})
	for depth, want := range map[int]bool{9_998: true, 9_999: false, 10_000: false} {
		v := jsontext.Value(strings.Repeat("[", depth) + strings.Repeat("]", depth))
		e, err := c.Entry("e", v)
		if (err == nil) != want {
			t.Errorf("an entry nested %d deep: %v", depth, err)
		}
		if err == nil {
			edit := c.Empty().Edit()
			edit.Apply(snapshot.Write[jsontext.Value]{Put: []snapshot.Entry[jsontext.Value]{e}})
			if data := encode(t, edit.Snapshot()); !json.Valid(data) {
				t.Errorf("an entry nested %d deep makes a file that encoding/json refuses", depth)
			} else if _, err := c.DecodeAny(data, nil); err != nil {
				t.Errorf("an entry nested %d deep: %v", depth, err)
			}
		}
	}
}
