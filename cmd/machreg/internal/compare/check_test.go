package compare_test

import (
	"io"
	"testing"

	"github.com/machreg/machreg/cmd/machreg/internal/compare"
	"github.com/machreg/machreg/proptest"
	"github.com/machreg/machreg/registry"
)

// In the sequences of this seed an entry with members that nobody knows is
// removed.
func TestCheckRemovesUnknownMembers(t *testing.T) {
	report, err := compare.Check(t.Context(), 6557942143046989, 50, t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range report.Findings {
		if !f.Expected() {
			t.Errorf("not expected: %+v", f)
		}
	}
}

func TestCheck(t *testing.T) {
	report, err := compare.Check(t.Context(), 1, 60, t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range report.Findings {
		if !f.Expected() {
			t.Errorf("not expected: %+v", f)
		}
	}
	if report.Sequences != 60 || len(report.Findings) < 5 {
		t.Errorf("%d sequences, %d differences, want 60 and most of those that are documented", report.Sequences, len(report.Findings))
	}
}

// hard is a subject of this module's with some of its methods replaced.
type hard struct {
	proptest.Subject
	proptest.Refresher
	proptest.Latest
	proptest.SaveBreaker
	io.Closer
}

// forgetful acknowledges removals that it does not make.
type forgetful struct{ hard }

func (f forgetful) Remove(name string) error {
	if name == registry.LocalName {
		return f.hard.Remove(name)
	}
	_, err := f.Get(name)
	return err
}

// TestCheckFindsUnexpected shows that the check can fail.
func TestCheckFindsUnexpected(t *testing.T) {
	open := proptest.Machines(&registry.Options{Refresh: registry.RefreshNever, Sync: registry.SyncNone})
	subject := func(dir string) (proptest.Subject, error) {
		s, err := open(dir)
		if err != nil {
			return nil, err
		}
		return forgetful{hard{s, s.(proptest.Refresher), s.(proptest.Latest), s.(proptest.SaveBreaker), s.(io.Closer)}}, nil
	}
	report, err := compare.CheckSubject(t.Context(), 1, 60, t.TempDir(), nil, subject)
	if err != nil {
		t.Fatal(err)
	}
	if report.Unexpected == 0 {
		t.Error("nobody noticed that removals are not made")
	}
}
