package peer_test

import (
	"errors"
	"path/filepath"
	"sync"
	"testing"

	"github.com/machreg/machreg/cmd/bench/internal/fleet"
	"github.com/machreg/machreg/cmd/bench/internal/peer"
)

// TestKinds demands of every store what the measures rely on: it holds what it
// was filled with, also as a copy, and what was added to it, also after it was
// closed.
func TestKinds(t *testing.T) {
	for _, k := range peer.Kinds() {
		t.Run(k.Name, func(t *testing.T) {
			const n = 100
			template := t.TempDir()
			if err := k.Fill(template, fleet.All(n)); err != nil {
				t.Fatal(err)
			}
			dir := filepath.Join(t.TempDir(), "copy")
			if err := peer.Copy(dir, template); err != nil {
				t.Fatal(err)
			}
			s, err := k.Open(dir, peer.Options{Writers: 4})
			if err != nil {
				t.Fatal(err)
			}
			raw := k.Name == "bbolt-raw" || k.Name == "lmdb-raw"
			for _, name := range fleet.Lookups(n) {
				m, err := s.Get(name)
				if err != nil {
					t.Fatalf("Get(%q): %v", name, err)
				}
				if _, err := fleet.Generation(name, m); err != nil && !raw {
					t.Fatal(err)
				}
			}
			if _, err := s.Get("none"); err == nil {
				t.Error("Get of a machine that is not there succeeds")
			}
			checkList(t, s, n)
			a, ok := s.(peer.Adder)
			if !ok || raw || k.Name == peer.Floor {
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				return
			}
			// At the same time, as the measures do; not to the published
			// baseline, which would lose some.
			var wg sync.WaitGroup
			for g := range 4 {
				wg.Go(func() {
					for i := range 5 {
						if err := a.Add(fleet.Named(fleet.Name(g*5+i), 7)); err != nil {
							t.Errorf("Add: %v", err)
						}
					}
				})
				if k.Name == peer.Baseline {
					wg.Wait()
				}
			}
			wg.Wait()
			if tx, ok := s.(peer.Transactor); ok {
				err := tx.Transact(fleet.Name(50), fleet.Name(51), func(m fleet.Machine) fleet.Machine { return fleet.Named(m.Name, 8) })
				if err != nil {
					t.Errorf("Transact: %v", err)
				}
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			again, err := k.Open(dir, peer.Options{})
			if err != nil {
				t.Fatal(err)
			}
			_, transacts := s.(peer.Transactor)
			for i := range n {
				want := 0
				switch {
				case i < 20:
					want = 7
				case i == 51 && transacts:
					want = 8
				}
				m, err := again.Get(fleet.Name(i))
				if got, gerr := fleet.Generation(fleet.Name(i), m); err != nil || gerr != nil || got != want {
					t.Errorf("after reopening, machine %d is of generation %d (%v), want %d", i, got, errors.Join(err, gerr), want)
				}
			}
			if err := again.Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func checkList(t *testing.T, s peer.Store, n int) {
	t.Helper()
	l, ok := s.(peer.Lister)
	if !ok {
		return
	}
	if got, err := l.List(); err != nil || got != n && got != n+1 { // with or without the local machine
		t.Errorf("List = %d, %v; want %d", got, err, n)
	}
	got := 0
	if err := l.Range(func(*fleet.Machine) bool { got++; return got < 10 }); err != nil || got != 10 {
		t.Errorf("Range stopped at %d, %v; want 10", got, err)
	}
}

func TestFindNamesWhatIsMissing(t *testing.T) {
	if _, err := peer.Find("none"); err == nil || err.Error() != `store "none" is not in this build` {
		t.Errorf("Find = %v", err)
	}
}
