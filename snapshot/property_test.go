package snapshot_test

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/machreg/machreg/snapshot"
)

type pairs = map[string]machine

// model is what a snapshot of machines should hold.
func model(s *snapshot.Snapshot[machine]) pairs {
	m := make(pairs)
	for name, v := range s.All() {
		m[name] = v
	}
	return m
}

var names = rapid.OneOf(
	rapid.SampledFrom([]string{"a", "b", "c", "local", `q"`, `\`, "é", "zz"}),
	rapid.Map(rapid.IntRange(0, 300), func(i int) string { return fmt.Sprint("m", i) }),
)

func machineOf(t *rapid.T, name string) machine {
	return machine{
		Name: name, Type: "ssh",
		Host:     rapid.SampledFrom([]string{"h", "i", "\"\\\n\u2028é", "‹0›"}).Draw(t, "host"),
		TownPath: rapid.StringN(-1, -1, 12).Filter(func(s string) bool { return snapshot.CheckText(s) == nil }).Draw(t, "town"),
	}
}

// edit applies random writes to a snapshot and to a model of it.
func edit(t *rapid.T, c *snapshot.Codec[machine], s *snapshot.Snapshot[machine], m pairs) *snapshot.Snapshot[machine] {
	e := s.Edit()
	for range rapid.IntRange(0, 12).Draw(t, "writes") {
		was := maps.Clone(m)
		var w snapshot.Write[machine]
		for range rapid.IntRange(0, 20).Draw(t, "puts") {
			name := names.Draw(t, "put")
			v := machineOf(t, name)
			entry, err := c.Entry(name, v)
			if err != nil {
				t.Fatalf("Entry(%q): %v", name, err)
			}
			w.Put = append(w.Put, entry)
			m[name] = v
		}
		changed := !maps.Equal(m, was)
		for range rapid.IntRange(0, 20).Draw(t, "removes") {
			name := names.Filter(func(n string) bool { return n != "local" }).Draw(t, "remove")
			w.Remove = append(w.Remove, name)
			if _, ok := m[name]; ok {
				changed = true
			}
			delete(m, name)
		}
		before := e.Revision()
		got := e.Apply(w)
		// Putting the same name twice may change it and change it back.
		if !got && changed || got != (e.Revision() == before+1) {
			t.Fatalf("Apply = %t at revision %d after %d, want %t", got, e.Revision(), before, changed)
		}
		name := names.Draw(t, "get")
		v, ok := e.Get(name)
		if want, wantOK := m[name]; v != want || ok != wantOK {
			t.Fatalf("Editor.Get(%q) = %+v, %t, want %+v, %t", name, v, ok, want, wantOK)
		}
		if e.SameEntry(s, name) && s.Holds(name) != ok {
			t.Fatalf("SameEntry(%q), which is held %t before and %t after", name, s.Holds(name), ok)
		}
	}
	next := e.Snapshot()
	if (next == s) != (e.Revision() == s.Revision()) || next.Revision() != e.Revision() {
		t.Fatalf("revision %d after %d, the editor says %d", next.Revision(), s.Revision(), e.Revision())
	}
	return next
}

func check(t *rapid.T, s *snapshot.Snapshot[machine], m pairs) {
	if got := model(s); !maps.Equal(got, m) {
		t.Fatalf("holds %v, want %v", got, m)
	}
	if s.Len() != len(m) {
		t.Fatalf("Len = %d, want %d", s.Len(), len(m))
	}
	var all []string
	for name := range s.All() {
		all = append(all, name)
	}
	if !slices.IsSorted(all) {
		t.Fatalf("not sorted: %q", all)
	}
	for _, name := range append(all, "none", "m1", "m2") {
		v, ok := s.Get(name)
		if want, wantOK := m[name]; v != want || ok != wantOK {
			t.Fatalf("Get(%q) = %+v, %t, want %+v, %t", name, v, ok, want, wantOK)
		}
	}
}

func TestEditorModel(t *testing.T) {
	c := machines(t)
	rapid.Check(t, func(t *rapid.T) {
		s, m := c.Empty(), pairs{"local": {Name: "local", Type: "local"}}
		for range rapid.IntRange(1, 6).Draw(t, "snapshots") {
			before, was := s, maps.Clone(m)
			s = edit(t, c, s, m)
			check(t, s, m)
			check(t, before, was)
		}
	})
}

// A difference applied to the old snapshot's model gives the new one's, also
// over several steps, and says nothing twice.
func TestDiff(t *testing.T) {
	c := machines(t)
	rapid.Check(t, func(t *rapid.T) {
		first, m := c.Empty(), pairs{"local": {Name: "local", Type: "local"}}
		before := maps.Clone(m)
		last := first
		for range rapid.IntRange(0, 4).Draw(t, "snapshots") {
			last = edit(t, c, last, m)
		}
		for _, way := range []struct {
			from, to *snapshot.Snapshot[machine]
			m, want  pairs
		}{{first, last, maps.Clone(before), m}, {last, first, maps.Clone(m), before}} {
			d := snapshot.Diff(way.from, way.to)
			if d.From != way.from.Revision() || d.To != way.to.Revision() {
				t.Fatalf("from %d to %d", d.From, d.To)
			}
			if d.Empty() != maps.Equal(way.m, way.want) {
				t.Fatalf("Empty = %t: %+v", d.Empty(), d)
			}
			seen := make(map[string]bool)
			for _, a := range d.Added {
				if _, ok := way.m[a.Name]; ok || seen[a.Name] {
					t.Fatalf("%q added", a.Name)
				}
				way.m[a.Name], seen[a.Name] = a.Value, true
			}
			for _, u := range d.Updated {
				if way.m[u.Name] != u.Old || u.Old == u.New || seen[u.Name] {
					t.Fatalf("%q updated from %+v to %+v", u.Name, u.Old, u.New)
				}
				way.m[u.Name], seen[u.Name] = u.New, true
			}
			for _, r := range d.Removed {
				if v, ok := way.m[r.Name]; !ok || v != r.Value || seen[r.Name] {
					t.Fatalf("%q removed", r.Name)
				}
				delete(way.m, r.Name)
			}
			if !maps.Equal(way.m, way.want) {
				t.Fatalf("%+v leads to %v, want %v", d, way.m, way.want)
			}
		}
	})
}

// What is written is read back the same, entry for entry.
func TestEncodeDecode(t *testing.T) {
	c := machines(t)
	rapid.Check(t, func(t *rapid.T) {
		m := pairs{"local": {Name: "local", Type: "local"}}
		old := edit(t, c, c.Empty(), m)
		before := maps.Clone(m)
		s := edit(t, c, old, m)
		var b bytes.Buffer
		if err := s.Encode(&b); err != nil {
			t.Fatal(err)
		}

		same, err := c.Decode(b.Bytes(), s)
		if err != nil || same.Parsed != 0 || !same.Ours || !snapshot.SameEntries(same.Snapshot, s) || same.Snapshot.Revision() != s.Revision() {
			t.Fatalf("against itself: %+v, %v", same, err)
		}
		fresh, err := c.Decode(b.Bytes(), nil)
		if err != nil || fresh.Parsed != s.Len() || !fresh.Ours {
			t.Fatalf("fresh: %+v, %v", fresh, err)
		}
		check(t, fresh.Snapshot, m)

		next, err := c.Decode(b.Bytes(), old)
		if err != nil {
			t.Fatal(err)
		}
		check(t, next.Snapshot, m)
		parsed := 0
		for name, v := range m {
			was, ok := before[name]
			if unchanged := ok && was == v; unchanged != snapshot.SameEntry(old, next.Snapshot, name) {
				t.Fatalf("%q: unchanged is %t, the same entry is %t", name, unchanged, !unchanged)
			} else if !unchanged {
				parsed++
			}
		}
		if next.Parsed != parsed {
			t.Fatalf("parsed %d, want %d", next.Parsed, parsed)
		}
	})
}

func TestOneChangedLine(t *testing.T) {
	c := machines(t)
	s := fleet(t, c, 1000)
	changed := realistic(500)
	changed.Host = "ci@elsewhere"
	for what, w := range map[string]snapshot.Write[machine]{
		"changed":      put(t, c, changed.Name, changed),
		"added first":  put(t, c, "a", machine{Type: "local"}),
		"added inside": put(t, c, "build-0005000", machine{Type: "local"}),
		"added last":   put(t, c, "z", machine{Type: "local"}),
		"removed":      {Remove: []string{changed.Name}},
	} {
		e := s.Edit()
		e.Apply(w)
		d := decode(t, c, encode(t, e.Snapshot()), s)
		if want := len(w.Put); d.Parsed != want {
			t.Errorf("%s: parsed %d entries, want %d", what, d.Parsed, want)
		}
		if !maps.Equal(model(d.Snapshot), model(e.Snapshot())) {
			t.Errorf("%s: not what was written", what)
		}
		if n := 0; true {
			for name := range s.All() {
				if !snapshot.SameEntry(s, d.Snapshot, name) {
					n++
				}
			}
			if want := len(w.Remove); what == "changed" && n != 1 || what != "changed" && n != want {
				t.Errorf("%s: %d entries are not the same", what, n)
			}
		}
	}
}

// A value that is put back is no change to a reader, in one revision or two.
func TestChangedBack(t *testing.T) {
	c := machines(t)
	s := fleet(t, c, 3)
	a, b := realistic(1), realistic(1)
	b.Host = "ci@elsewhere"
	e := s.Edit()
	if !e.Apply(put(t, c, a.Name, b)) || !e.Apply(put(t, c, a.Name, a)) {
		t.Error("Apply saw no change")
	}
	if next := e.Snapshot(); next.Revision() != s.Revision()+2 || !snapshot.SameEntries(s, next) {
		t.Errorf("revision %d, the same entries %t", next.Revision(), snapshot.SameEntries(s, next))
	}
	e = s.Edit()
	e.Apply(put(t, c, a.Name, b))
	e = e.Snapshot().Edit()
	e.Apply(put(t, c, a.Name, a))
	if d := snapshot.Diff(s, e.Snapshot()); !d.Empty() {
		t.Errorf("the difference is %+v", d)
	}
}
