package proptest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"pgregory.net/rapid"

	"github.com/machreg/machreg/proptest/baseline"
	"github.com/machreg/machreg/registry"
)

// cmdBaseline lets the baseline write the same file. It knows of no revision,
// drops what it does not know, and serves what is quarantined here.
func (w *world) cmdBaseline(t *rapid.T) {
	if w.broken != ok {
		t.Skip("the baseline may take a corrupt file for a good one")
	}
	if w.baseline == nil {
		b := baseline.New(w.path, nil)
		w.baseline = &reference{Registry: b, path: w.path}
	}
	m := machineGen.Draw(t, "machine")
	remove := m.Name != registry.LocalName && rapid.IntRange(0, 2).Draw(t, "remove") == 0
	next := w.now.clone()
	_, there := next.entries[m.Name]
	want := ok
	var err error
	if remove {
		err = w.baseline.Remove(m.Name)
		next.remove(m.Name)
		want = foundOr(there)
	} else {
		err = w.baseline.Add(m)
		next.entries[m.Name] = entry{machine: m}
	}
	if !w.now.readableByBaseline() {
		if err == nil {
			t.Fatalf("the baseline wrote a file that it cannot read")
		}
		return
	}
	if classOf(err) != want {
		t.Fatalf("baseline: write %q: %v, want %s", m.Name, err, orOK(want))
	}
	if want != ok {
		return
	}
	next.complete()
	next.forget()
	w.adoptFile(t, next)
}

// adoptFile makes next what there is now, written by something else. Bytes that
// it kept in its own spelling are taken from the file.
func (w *world) adoptFile(t *rapid.T, next content) {
	data, err := os.ReadFile(w.path)
	if err != nil {
		t.Fatalf("file: %v", err)
	}
	p, err := parseFile(data)
	if err != nil {
		t.Fatalf("file written by something else cannot be read: %v\n%s", err, data)
	}
	for name, e := range next.entries {
		if e.bad != "" {
			e.bad = string(p.entries[name])
			next.entries[name] = e
		}
	}
	w.now = next
	w.versions = append(w.versions, next.visible())
	w.written, w.ours = true, false
	w.foreign = w.last()
	w.everBad = w.everBad || next.hasBad()
	switch {
	case w.commitsOnly && !w.guessed && !next.same(w.committed):
		w.mark = unsettled
	default:
		w.mark = doubtful
	}
	w.noteLinks(t)
}

var badValues = []string{
	`{"name":%q,"type":"ssh","host":""}`,
	`{"name":%q,"type":"ssh", "host":"-oProxyCommand=x"}`,
	`{"name":%q,"type":5,"zone": "z"}`,
	`{"name":%q}`,
	`[1, 2]`,
}

// cmdEdit changes the file as a person or a script would.
func (w *world) cmdEdit(t *rapid.T) {
	if w.broken != ok {
		t.Skip("the file is corrupt")
	}
	next := w.edit(t, w.now)
	w.place(t, w.spell(t, next))
	w.adoptFile(t, next)
}

// edit is c with one change, as a person or a script would make it.
func (w *world) edit(t *rapid.T, c content) content {
	next := c.respelt()
	name := nameGen.Draw(t, "name")
	switch kind := rapid.SampledFrom([]string{"set", "set", "delete", "reformat", "file member", "entry member", "bad entry"}).Draw(t, "edit"); kind {
	case "set":
		next.entries[name] = entry{machine: machineNamed(t, name), wild: true}
	case "delete":
		delete(next.entries, name)
	case "file member":
		if next.members == nil {
			next.members = make(map[string]string)
		}
		next.members["x-"+name] = drawValue(t)
	case "entry member":
		if e, there := next.entries[name]; there && e.bad == "" {
			e.rest = maps.Clone(e.rest)
			if e.rest == nil {
				e.rest = make(map[string]string)
			}
			e.rest[rapid.SampledFrom([]string{"zone", "Zone", "ü"}).Draw(t, "member")] = drawValue(t)
			next.entries[name] = e
		}
	case "bad entry":
		if w.tolerated[UncheckedEntries] {
			t.Skip("the subject serves it")
		}
		next.entries[name] = badEntry(name, rapid.SampledFrom(badValues).Draw(t, "value"))
	}
	return next
}

func drawValue(t *rapid.T) string {
	return rapid.SampledFrom([]string{`"x"`, `{"a": [1,  2.50]}`, "null", "\"\\u00fc\"", "[\n 1 ]"}).Draw(t, "value")
}

func badEntry(name, pattern string) entry {
	e := entry{bad: pattern, wild: true}
	if strings.Contains(pattern, "%q") {
		quoted, _ := json.Marshal(name)
		e.bad = strings.Replace(pattern, "%q", string(quoted), 1)
	}
	if strings.Contains(pattern, "zone") {
		e.rest = map[string]string{"zone": `"z"`}
	}
	return e
}

// spell writes c in one of the ways in which a file may be written.
func (w *world) spell(t *rapid.T, c content) []byte {
	space := rapid.SampledFrom([]string{"", " ", "\n  "}).Draw(t, "space")
	var out bytes.Buffer
	out.WriteString("{" + space + `"version":` + space + "1")
	// An editor leaves the number alone; a script may drop it, or know better.
	numbers := []string{"keep", "keep", "drop", "raise"}
	if w.commitsOnly { // else hardly any sequence would know which revision to expect
		numbers = []string{"keep", "keep", "keep", "drop", "drop", "drop", "keep", "raise"}
	}
	switch rapid.SampledFrom(numbers).Draw(t, "revision") {
	case "keep":
		fmt.Fprintf(&out, ",%s\"revision\": %d", space, w.claimed)
	case "raise":
		fmt.Fprintf(&out, ",%s\"revision\": %d", space, w.claimed+1000)
		w.guessed = true // who has met it counts from there
	}
	for _, name := range slices.Sorted(maps.Keys(c.members)) {
		fmt.Fprintf(&out, ",%s%s:%s%s", space, quote(name), space, c.members[name])
	}
	out.WriteString("," + space + `"machines":{`)
	order := slices.Sorted(maps.Keys(c.entries))
	if rapid.Bool().Draw(t, "backwards") {
		slices.Reverse(order)
	}
	for i, name := range order {
		if i > 0 {
			out.WriteString("," + space)
		}
		out.WriteString(quote(name) + ":" + space + c.entries[name].spell(space))
	}
	out.WriteString("}" + space)
	if rapid.Bool().Draw(t, "stale checksum") {
		out.WriteString(`,"checksum":"crc32c:00000000"`)
	}
	out.WriteString("}\n")
	return out.Bytes()
}

func (e entry) spell(space string) string {
	if e.bad != "" {
		return e.bad
	}
	m := e.machine
	var out strings.Builder
	out.WriteString("{")
	for i, f := range []struct{ name, value string }{
		{"name", m.Name}, {"type", m.Type}, {"host", m.Host}, {"key_path", m.KeyPath}, {"town_path", m.TownPath},
	} {
		if i > 0 {
			out.WriteString("," + space)
		}
		out.WriteString(quote(f.name) + ":" + space + quote(f.value))
	}
	for _, name := range slices.Sorted(maps.Keys(e.rest)) {
		out.WriteString("," + space + quote(name) + ":" + space + e.rest[name])
	}
	return out.String() + "}"
}

func quote(s string) string {
	q, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return string(q)
}

// place puts data into the file: by a rename, or by writing over it.
func (w *world) place(t *rapid.T, data []byte) {
	defer w.noteLinks(t) // a link is renamed over, as many editors do
	if !w.written || rapid.Bool().Draw(t, "rename") {
		temp := filepath.Join(filepath.Dir(w.path), "edited")
		err := os.WriteFile(temp, data, 0o644)
		if err == nil {
			err = os.Rename(temp, w.path)
		}
		if err != nil {
			t.Fatalf("edit the file: %v", err)
		}
		w.written = true
		return
	}
	info, err := os.Stat(w.path)
	if err == nil {
		err = os.WriteFile(w.path, data, 0o644)
	}
	if err == nil {
		// A time that is the same for both would hide an edit in place from
		// everybody; whoever edits by hand is not that fast.
		err = os.Chtimes(w.path, time.Time{}, info.ModTime().Add(time.Millisecond))
	}
	if err != nil {
		t.Fatalf("edit the file: %v", err)
	}
	w.witness.close()
}

func (w *world) cmdCorrupt(t *rapid.T) {
	if w.broken != ok || !w.written {
		t.Skip("there is nothing good to corrupt")
	}
	data, err := os.ReadFile(w.path)
	if err != nil {
		t.Fatalf("file: %v", err)
	}
	w.corrupt = corruptFile(t, data, !w.tolerated[LenientFile])
	w.place(t, w.corrupt)
	w.broken = corrupt
	w.mend = func(t *rapid.T) { w.place(t, data) }
}

// cmdRepair puts back what was there before.
func (w *world) cmdRepair(t *rapid.T) {
	if w.broken == ok {
		t.Skip("the file is good")
	}
	if w.broken == corrupt {
		if data, err := os.ReadFile(w.path); err != nil || !bytes.Equal(data, w.corrupt) {
			t.Fatalf("a corrupt file was written by somebody (%v)", err)
		}
	}
	w.mend(t)
	w.broken = ok
	w.noteLinks(t)
	// Unless only commits make revisions, the same bytes may stand for one of
	// their own now.
	w.versions = append(w.versions, w.current())
	w.foreign = w.last()
}
