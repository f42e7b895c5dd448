package snapshot_test

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/machreg/machreg/snapshot"
)

// The size that an editor counts on is the length of what is written.
func TestSizeIsLengthOfEncoding(t *testing.T) {
	c := machines(t)
	same := func(rt *rapid.T, what string, size int64, s *snapshot.Snapshot[machine]) {
		if got := int64(len(encode(t, s))); size != got {
			rt.Fatalf("%s: size %d, the file has %d bytes", what, size, got)
		}
	}
	rapid.Check(t, func(rt *rapid.T) {
		file := `{"version":1,"revision":` + rapid.SampledFrom([]string{"0", "8", "97", "998"}).Draw(rt, "revision")
		file += rapid.SampledFrom([]string{"", `,"extra": "é\"", "more":{ }`}).Draw(rt, "members")
		file += `,"machines":{`
		file += rapid.SampledFrom([]string{
			"", `"a":{"type":""}`, `"local":17`, `"b":{"type":"t","unknown": "\u00e9"},"\u0063":{"type":"t"},"zz":0,"q\"":{"x" : 1}`,
		}).Draw(rt, "entries")
		s := decode(t, c, []byte(file+"}}"), nil).Snapshot
		for range rapid.IntRange(1, 3).Draw(rt, "snapshots") {
			same(rt, "snapshot", s.Size(), s)
			e := s.Edit()
			for range rapid.IntRange(0, 5).Draw(rt, "writes") {
				var w snapshot.Write[machine]
				for range rapid.IntRange(0, 5).Draw(rt, "puts") {
					name := names.Draw(rt, "put")
					entry, err := c.Entry(name, machineOf(rt, name))
					if err != nil {
						rt.Fatal(err)
					}
					w.Put = append(w.Put, entry)
				}
				// What is built in comes back, and is removed by no registry.
				w.Remove = rapid.SliceOfN(names.Filter(func(n string) bool { return n != "local" }), 0, 5).Draw(rt, "remove")
				before, was := e.Size(), string(encode(t, e.Snapshot()))
				trial := e.Snapshot().Edit()
				changes := trial.Apply(w)
				limit := trial.Size() - rapid.Int64Range(-1, 1).Draw(rt, "room")
				refused := changes && trial.Size() > limit
				changed, err := e.ApplyWithin(limit, w)
				if errors.Is(err, snapshot.ErrTooLarge) != refused || changed != (changes && !refused) {
					rt.Fatalf("ApplyWithin(%d) of what makes %d bytes = %t, %v", limit, trial.Size(), changed, err)
				}
				if refused && (e.Size() != before || string(encode(t, e.Snapshot())) != was) {
					rt.Fatalf("a refused write left %d bytes\n%s\nwant %d\n%s", e.Size(), encode(t, e.Snapshot()), before, was)
				}
				same(rt, "editor", e.Size(), e.Snapshot())
			}
			next := e.Snapshot()
			s = decode(t, c, encode(t, next), s).Snapshot
			same(rt, "next", next.Size(), next)
		}
	})
}

// stubborn ends the goroutine that decodes it, as its text says.
type stubborn struct{ text string }

func (s stubborn) MarshalText() ([]byte, error) { return []byte(s.text), nil }

func (s *stubborn) UnmarshalJSON(data []byte) error {
	switch s.text = strings.Trim(string(data), `"`); s.text {
	case "panic", "null":
		panic("stubborn")
	case "goexit":
		runtime.Goexit()
	}
	return nil
}

// A value whose code ends the goroutine is in quarantine, however many there
// are, and the rest is read. Each value is decoded a few times, not as often as
// there are bad ones.
func TestDecodeSurvivesGoexit(t *testing.T) {
	type value struct {
		S stubborn `json:"s"`
	}
	checks := 0
	c := codec(t, snapshot.Schema[value]{Collection: "m", Check: func(name string, v *value) error {
		if checks++; v.S.text == "check" {
			runtime.Goexit()
		}
		return nil
	}})
	const n = 100
	var entries []string
	for i := range n {
		for _, text := range []string{"good", "goexit", "panic", "check"} {
			entries = append(entries, fmt.Sprintf("\"%s-%03d\": {\"s\":%q}", text, i, text))
		}
	}
	slices.Sort(entries)
	foreign := []byte("{\"version\":1,\"m\":{" + strings.Join(entries, ",\n") + "}}")
	snap := decode(t, c, foreign, nil).Snapshot
	if checks > 6*n {
		t.Errorf("%d values are checked for %d that can be decoded", checks, 2*n)
	}
	for _, data := range [][]byte{foreign, encode(t, snap)} {
		snap := decode(t, c, data, nil).Snapshot
		reasons := make(map[string]int)
		for _, q := range snap.Quarantine() {
			reasons[q.Name[:strings.Index(q.Name, "-")]+": "+q.Reason]++
		}
		if len(reasons) != 3 || reasons["goexit: ended its goroutine"] != n || reasons["check: ended its goroutine"] != n || reasons["panic: panic: stubborn"] != n {
			t.Errorf("quarantined for %v", reasons)
		}
		if v, ok := snap.Get("good-007"); snap.Len() != n || !ok || v.S.text != "good" {
			t.Errorf("%d entries, want %d; Get = %v, %t", snap.Len(), n, v, ok)
		}
	}
}

// What is newly in quarantine is found in one walk along both lists, and in no
// time if no entry changed its state.
func TestQuarantinedSinceIsLinear(t *testing.T) {
	c := machines(t)
	const n = 2000
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "\"q%05d\": {\"type\":\"\"},\n", i)
	}
	file := func(last string) []byte { return []byte("{\"version\":1,\"machines\":{" + b.String() + last + "}}") }
	old := decode(t, c, file(`"x":{"type":""}`), nil).Snapshot
	edit := old.Edit()
	edit.Apply(put(t, c, "a", machine{Type: "local"}))
	if got, steps := snapshot.CountSince(old, edit.Snapshot()); len(got) != 0 || steps != 0 {
		t.Errorf("%d newly in quarantine after another entry was put, found in %d steps; want none in none", len(got), steps)
	}
	edit.Apply(put(t, c, "q00100", machine{Type: "local"}))
	if got, steps := snapshot.CountSince(old, edit.Snapshot()); len(got) != 0 || steps > 2*n {
		t.Errorf("%d newly in quarantine after one was repaired, found in %d steps; want none in %d", len(got), steps, 2*n)
	}
	if got := edit.Snapshot().QuarantineLen(); got != n {
		t.Errorf("%d in quarantine, want %d", got, n)
	}
	now := decode(t, c, file(`"x":{"type":"ssh"},"y":{"type":""}`), old).Snapshot
	got, steps := snapshot.CountSince(old, now)
	want := []snapshot.Quarantined{{Name: "x", Reason: "host: missing"}, {Name: "y", Reason: "type: missing"}}
	if !slices.Equal(got, want) || steps > 2*n+2 {
		t.Errorf("newly in quarantine %v, found in %d steps; want %v in %d", got, steps, want, 2*n)
	}
}
