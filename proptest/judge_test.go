package proptest_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/machreg/machreg/proptest"
	"github.com/machreg/machreg/registry"
)

// good is a history in which nothing is wrong: k is added as a, then a
// transaction on another handle replaces it by b, and everybody reads.
func good() proptest.History {
	return proptest.History{
		Versioned: true, Revision: 7, State: map[string]string{"old": "x"},
		Ops: []proptest.Op{
			{Client: 0, Handle: 0, Kind: proptest.Add, Name: "k", Call: 10, Return: 20, Writes: map[string]string{"k": "a"}, Revision: 8},
			{Client: 1, Handle: 1, Kind: proptest.Get, Name: "k", Call: 12, Return: 14, Before: 7, After: 7, Reads: map[string]string{"k": ""}},
			{Client: 1, Handle: 1, Kind: proptest.Commit, Name: "k", Call: 30, Return: 40, Revision: 9,
				Reads: map[string]string{"k": "a"}, Writes: map[string]string{"k": "b"}},
			{Client: 0, Handle: 0, Kind: proptest.List, Call: 45, Return: 50, Before: 8, After: 8, Ranged: true, Reads: map[string]string{"k": "a", "old": "x"}},
			{Client: 0, Handle: 0, Kind: proptest.ReadNew, Call: 55, Return: 60, Revision: 9, Ranged: true, Reads: map[string]string{"k": "b", "old": "x"}},
			{Client: 2, Handle: 2, Kind: proptest.Remove, Name: "no", Call: 15, Return: 70, Writes: map[string]string{"no": ""}, Class: "not found"},
			{Client: 2, Handle: 2, Kind: proptest.Final, Call: 80, Return: 90, Revision: 9, Ranged: true, Reads: map[string]string{"k": "b", "old": "x"}},
		},
	}
}

func TestJudge(t *testing.T) {
	h := good()
	if err := h.Check(); err != nil {
		t.Fatalf("a history with nothing wrong: %v", err)
	}
	edited := good()
	edited.Edited, edited.Revision = true, 6 // the first write settles it as 7
	if err := edited.Check(); err != nil {
		t.Fatalf("a history that begins on an edit: %v", err)
	}
	for name, c := range map[string]struct {
		spoil func(h *proptest.History)
		want  string
	}{
		"a revision given twice": {func(h *proptest.History) { h.Ops[2].Revision = 8 }, "two writes"},
		"a revision left out":    {func(h *proptest.History) { h.Ops[2].Revision = 10 }, "no acknowledged write's"},
		"a lost update": {func(h *proptest.History) {
			h.Ops[2].Reads["k"] = ""
		}, "it had read"},
		"a range that was overtaken": {func(h *proptest.History) { h.Ops[2].Ranged = true }, "as all there is"},
		"a write that goes back in time": {func(h *proptest.History) {
			h.Ops[0].Call, h.Ops[0].Return = 41, 42
		}, "was there before it began"},
		"an old Latest": {func(h *proptest.History) {
			h.Ops[4].Revision, h.Ops[4].Reads = 8, map[string]string{"k": "a", "old": "x"}
		}, "was there before it began"},
		"a view that is not its revision": {func(h *proptest.History) { h.Ops[4].Reads["k"] = "a" }, "revision 9 is"},
		"a list of two revisions": {func(h *proptest.History) {
			h.Ops[3].After, h.Ops[3].Reads = 9, map[string]string{"k": "b"}
		}, "no revision from 8 to 9"},
		"a plain read behind its handle": {func(h *proptest.History) {
			h.Ops[3].Before, h.Ops[3].After, h.Ops[3].Reads = 7, 7, map[string]string{"old": "x"}
		}, "had shown 8 before"},
		"a refusal without a reason": {func(h *proptest.History) { h.Ops[5].Name = "old" }, "had to be"},
		"a conflict without a reason": {func(h *proptest.History) {
			h.Ops[5] = proptest.Op{Kind: proptest.Commit, Call: 71, Return: 72, Class: "conflict", Revision: 9, Handle: 2, Reads: map[string]string{"k": "b"}}
		}, "had to be"},
		"a condition that did not hold": {func(h *proptest.History) {
			r := registry.Revision(6)
			h.Ops[0].At = &r
		}, "the registry was at revision 7"},
		"a removal of nothing": {func(h *proptest.History) {
			h.Ops[0].Kind, h.Ops[0].Writes = proptest.Remove, map[string]string{"k": ""}
		}, "was not there"},
		"an update lost in the end": {func(h *proptest.History) { delete(h.Ops[6].Reads, "k") }, "revision 9 is"},
		"a revision from the future": {func(h *proptest.History) {
			h.Ops[1].After = 10
		}, "last write is 9"},
		"an edit that was not settled": {func(h *proptest.History) { h.Edited = true }, "was there before"},
		"a condition on an edit": {func(h *proptest.History) {
			h.Edited, h.Revision = true, 6
			h.Ops[0].At = &h.Revision
		}, "the registry was at revision 7"},
		"a write by a handle that takes none": {func(h *proptest.History) { h.Ops[0].ReadOnly = true }, "reading only"},
		"a failure":                           {func(h *proptest.History) { h.Ops[0].Class = "other" }, "failed"},
		"a mixed value": {func(h *proptest.History) {
			h.Ops[1].Reads["k"] = "mixed: {}"
		}, "nobody wrote"},
	} {
		t.Run(name, func(t *testing.T) {
			h := good()
			c.spoil(&h)
			if err := h.Check(); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("Check() = %v, want an error with %q", err, c.want)
			}
		})
	}
}

// TestJudgeWithoutRevisions leaves it to porcupine and to time.
func TestJudgeWithoutRevisions(t *testing.T) {
	plain := func() proptest.History {
		h := good()
		h.Versioned = false
		return h
	}
	h := plain()
	if err := h.Check(); err != nil {
		t.Fatalf("a history with nothing wrong: %v", err)
	}
	for name, c := range map[string]struct {
		spoil func(h *proptest.History)
		want  string
	}{
		"an update lost in the end": {func(h *proptest.History) { h.Ops[6].Reads = map[string]string{"k": "a", "old": "x"} }, "newer"},
		"an entry that vanished":    {func(h *proptest.History) { h.Ops[6].Reads = map[string]string{"k": "b"} }, "not linearizable"},
		"a Latest that is old":      {func(h *proptest.History) { h.Ops[4].Reads["k"] = "a" }, "not linearizable"},
		"a handle that goes back": {func(h *proptest.History) {
			h.Ops[3].Reads = map[string]string{"old": "x"}
		}, "newer"},
		"a value from nowhere": {func(h *proptest.History) { h.Ops[3].Reads["k"] = "z" }, "nobody had written"},
	} {
		t.Run(name, func(t *testing.T) {
			h := plain()
			// The final read is of a handle that has shown nothing else.
			h.Ops[6].Handle = 1
			c.spoil(&h)
			if err := h.Check(); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("Check() = %v, want an error with %q", err, c.want)
			}
		})
	}
}

// TestSavedHistory reads back what a failure leaves.
func TestSavedHistory(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history.json")
	h := good()
	h.Ops[4].Reads["k"] = "a"
	if err := h.Save(path); err != nil {
		t.Fatal(err)
	}
	back, err := proptest.LoadHistory(path)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := back.Check(), h.Check(); got == nil || got.Error() != want.Error() {
		t.Errorf("Check() of the saved history = %v, want %v", got, want)
	}
}
