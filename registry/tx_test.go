package registry_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/machreg/machreg/registry"
)

// wantConflict demands that err is a conflict about name.
func wantConflict(t *testing.T, err error, name string) {
	t.Helper()
	var c *registry.ConflictError[registry.Machine]
	if !errors.Is(err, registry.ErrConflict) || !errors.As(err, &c) || c.Name != name {
		t.Errorf("Commit = %v, want a conflict about %q", err, name)
	}
}

// Two transactions at a time, a and b, each on a handle of its own. b commits
// while a is open.
func TestAnomaliesAreConflicts(t *testing.T) {
	type handle = *registry.MachineRegistry
	get := func(t *testing.T, tx *tx, name string) {
		t.Helper()
		if _, err := tx.Get(name); err != nil && !errors.Is(err, registry.ErrNotFound) {
			t.Fatal(err)
		}
	}
	put := func(t *testing.T, tx *tx, name string, n int) {
		t.Helper()
		if err := tx.Put(name, generation(name, n)); err != nil {
			t.Fatal(err)
		}
	}
	remove := func(t *testing.T, tx *tx, name string) {
		t.Helper()
		if err := tx.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name string
		a, b func(t *testing.T, tx *tx)
		// conflict is the name that a's commit reports, "*" for the whole
		// registry, "-" if it must not be one.
		conflict string
	}{
		{
			"lost update",
			func(t *testing.T, tx *tx) { get(t, tx, "x"); put(t, tx, "x", 2) },
			func(t *testing.T, tx *tx) { get(t, tx, "x"); put(t, tx, "x", 3) },
			"x",
		}, {
			"write skew",
			func(t *testing.T, tx *tx) { get(t, tx, "x"); get(t, tx, "y"); put(t, tx, "x", 2) },
			func(t *testing.T, tx *tx) { get(t, tx, "x"); get(t, tx, "y"); put(t, tx, "y", 2) },
			"y",
		}, {
			"absent when read, there now",
			func(t *testing.T, tx *tx) { get(t, tx, "new"); put(t, tx, "x", 2) },
			func(t *testing.T, tx *tx) { put(t, tx, "new", 1) },
			"new",
		}, {
			"there when read, absent now",
			func(t *testing.T, tx *tx) { get(t, tx, "y"); put(t, tx, "x", 2) },
			func(t *testing.T, tx *tx) { remove(t, tx, "y") },
			"y",
		}, {
			"phantom",
			func(t *testing.T, tx *tx) {
				for range tx.All() {
				}
				put(t, tx, "x", 2)
			},
			func(t *testing.T, tx *tx) { put(t, tx, "new", 1) },
			"*",
		}, {
			"phantom, of a range that stopped early",
			func(t *testing.T, tx *tx) {
				for range tx.All() {
					break
				}
				put(t, tx, "x", 2)
			},
			func(t *testing.T, tx *tx) { remove(t, tx, "y") },
			"*",
		}, {
			"both remove",
			func(t *testing.T, tx *tx) { remove(t, tx, "x") },
			func(t *testing.T, tx *tx) { remove(t, tx, "x") },
			"x",
		}, {
			"removed, then put, reads what was there",
			func(t *testing.T, tx *tx) { remove(t, tx, "x"); put(t, tx, "x", 5) },
			func(t *testing.T, tx *tx) { put(t, tx, "x", 3) },
			"x",
		}, {
			"a read only",
			func(t *testing.T, tx *tx) { get(t, tx, "x") },
			func(t *testing.T, tx *tx) { put(t, tx, "x", 3) },
			"x",
		}, {
			"blind writes",
			func(t *testing.T, tx *tx) { put(t, tx, "x", 2) },
			func(t *testing.T, tx *tx) { put(t, tx, "x", 3) },
			"-",
		}, {
			"a read of one's own write",
			func(t *testing.T, tx *tx) { put(t, tx, "x", 2); get(t, tx, "x") },
			func(t *testing.T, tx *tx) { put(t, tx, "x", 3) },
			"-",
		}, {
			"what was put, then removed",
			func(t *testing.T, tx *tx) { put(t, tx, "new", 2); remove(t, tx, "new") },
			func(t *testing.T, tx *tx) { put(t, tx, "new", 3) },
			"-",
		}, {
			"something else",
			func(t *testing.T, tx *tx) { get(t, tx, "x"); put(t, tx, "x", 2) },
			func(t *testing.T, tx *tx) { put(t, tx, "y", 3) },
			"-",
		}, {
			"written as it was",
			func(t *testing.T, tx *tx) { get(t, tx, "x"); put(t, tx, "y", 2) },
			func(t *testing.T, tx *tx) { put(t, tx, "x", 1) },
			"-",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := newPath(t)
			handles := [2]handle{open(t, path, &registry.Options{Refresh: registry.RefreshNever}), open(t, path, nil)}
			if _, err := handles[0].Update(t.Context(), func(tx *tx) error {
				put(t, tx, "x", 1)
				put(t, tx, "y", 1)
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			if err := handles[1].Refresh(t.Context()); err != nil {
				t.Fatal(err)
			}
			a, b := handles[0].Begin(), handles[1].Begin()
			c.a(t, a)
			c.b(t, b)
			if _, err := b.Commit(t.Context()); err != nil {
				t.Fatal(err)
			}
			before := string(mustRead(t, path))
			rev, err := a.Commit(t.Context())
			switch c.conflict {
			case "-":
				if err != nil {
					t.Errorf("Commit: %v", err)
				}
				return
			case "*":
				wantConflict(t, err, "")
			default:
				wantConflict(t, err, c.conflict)
			}
			if after := string(mustRead(t, path)); after != before || rev != 0 {
				t.Errorf("a conflict returned revision %d and changed the file to %s", rev, after)
			}
		})
	}
}

// A transaction sees one revision and its own writes, whatever others do.
func TestTransactionReads(t *testing.T) {
	path := newPath(t)
	r := open(t, path, nil)
	add(t, r, "x", "y", "z")
	a := r.Begin()
	if m, err := a.Get("x"); err != nil || m != machineOf("x") {
		t.Errorf("Get(x) = %+v, %v", m, err)
	}
	if _, err := r.Add(t.Context(), generation("y", 1)); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Remove(t.Context(), "z"); err != nil {
		t.Fatal(err)
	}
	add(t, r, "new")
	// Read skew: x of one revision and y of another.
	if m, err := a.Get("y"); err != nil || m != machineOf("y") {
		t.Errorf("Get(y) = %+v, %v, want it as of the beginning", m, err)
	}
	if err := a.Put("own", machineOf("own")); err != nil {
		t.Fatal(err)
	}
	if err := a.Remove("x"); err != nil {
		t.Fatal(err)
	}
	if m, err := a.Get("own"); err != nil || m != machineOf("own") {
		t.Errorf("Get of its own write = %+v, %v", m, err)
	}
	if _, err := a.Get("x"); !errors.Is(err, registry.ErrNotFound) {
		t.Errorf("Get of what it removed = %v, want ErrNotFound", err)
	}
	if err := a.Remove("x"); !errors.Is(err, registry.ErrNotFound) {
		t.Errorf("Remove of what it removed = %v, want ErrNotFound", err)
	}
	if err := a.Remove("new"); !errors.Is(err, registry.ErrNotFound) {
		t.Errorf("Remove of what came later = %v, want ErrNotFound", err)
	}
	if err := a.Remove(registry.LocalName); !errors.Is(err, registry.ErrBuiltin) {
		t.Errorf("Remove(local) = %v, want ErrBuiltin", err)
	}
	all := maps.Collect(a.All())
	want := map[string]registry.Machine{
		"local": {Name: "local", Type: "local"}, "own": machineOf("own"), "y": machineOf("y"), "z": machineOf("z"),
	}
	if !maps.Equal(all, want) {
		t.Errorf("All yields %v, want %v", all, want)
	}
	// Dirty read: nobody sees it before it commits.
	if _, err := r.Get("own"); !errors.Is(err, registry.ErrNotFound) {
		t.Errorf("Get of what is not committed = %v, want ErrNotFound", err)
	}
	if _, ok := mustParse(t, path).Machines["own"]; ok {
		t.Error("the file holds what is not committed")
	}
	if _, err := a.Commit(t.Context()); !errors.Is(err, registry.ErrConflict) {
		t.Errorf("Commit = %v, want ErrConflict", err)
	}
	if _, err := a.Commit(t.Context()); !errors.Is(err, registry.ErrInvalid) {
		t.Errorf("second Commit = %v, want ErrInvalid", err)
	}
}

// A transaction is one revision, however much it changes, and none if it
// changes nothing.
func TestTransactionIsOneRevision(t *testing.T) {
	path := newPath(t)
	r := open(t, path, nil)
	rev, err := r.Update(t.Context(), func(tx *tx) error {
		for _, name := range []string{"a", "b", "c"} {
			if err := tx.Put(name, machineOf(name)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil || rev != 1 {
		t.Errorf("Update of three = %d, %v, want revision 1", rev, err)
	}
	before := string(mustRead(t, path))
	rev, err = r.Update(t.Context(), func(tx *tx) error {
		if err := tx.Remove("a"); err != nil {
			return err
		}
		if err := tx.Put("b", machineOf("b")); err != nil {
			return err
		}
		return tx.Put("a", machineOf("a"))
	})
	if err != nil || rev != 1 || string(mustRead(t, path)) != before {
		t.Errorf("Update that cancels out = %d, %v, want revision 1 and the file as it was", rev, err)
	}
	refusal := errors.New("no")
	rev, err = r.Update(t.Context(), func(tx *tx) error {
		if err := tx.Put("d", machineOf("d")); err != nil {
			return err
		}
		return refusal
	})
	if err != refusal || rev != 0 || string(mustRead(t, path)) != before {
		t.Errorf("Update that ends with an error = %d, %v, want that error and the file as it was", rev, err)
	}
}

// After two conflicts Update runs under the lock, and on what is there then.
func TestUpdateFallsBackToTheLock(t *testing.T) {
	r := open(t, newPath(t), nil)
	var seen []registry.Revision
	rev, err := r.Update(t.Context(), func(tx *tx) error {
		seen = append(seen, tx.Revision())
		if _, err := tx.Get("x"); err != nil && !errors.Is(err, registry.ErrNotFound) {
			return err
		}
		if len(seen) <= 2 { // a third one would wait for itself
			if _, err := r.Add(t.Context(), generation("x", len(seen))); err != nil {
				return err
			}
		}
		return tx.Put("x", generation("x", 10))
	})
	if want := []registry.Revision{0, 1, 2}; err != nil || rev != 3 || !slices.Equal(seen, want) {
		t.Errorf("Update = %d, %v, having run at revisions %d, want revision 3 after runs at %d", rev, err, seen, want)
	}
	if s := r.Stats(); s.Refused != 2 {
		t.Errorf("stats count %d refused writes, want 2 conflicts", s.Refused)
	}
	if m, err := r.Get("x"); err != nil || m != generation("x", 10) {
		t.Errorf("Get = %+v, %v", m, err)
	}
}

// A transaction that goes on after a Put was refused does not take effect in
// part, neither by Commit nor by Update, with the lock or without.
func TestRefusedPutRefusesTransaction(t *testing.T) {
	r := open(t, newPath(t), nil)
	add(t, r, "a")
	bad := registry.Machine{Name: "bad", Type: registry.TypeSSH}
	careless := func(tx *tx) error {
		if err := tx.Put("bad", bad); !errors.Is(err, registry.ErrInvalid) {
			t.Errorf("Put of ssh without host = %v, want ErrInvalid", err)
		}
		return tx.Put("good", machineOf("good"))
	}
	tx := r.Begin()
	if err := careless(tx); err != nil {
		t.Fatal(err)
	}
	if rev, err := tx.Commit(t.Context()); rev != 0 || !errors.Is(err, registry.ErrInvalid) {
		t.Errorf("Commit = %d, %v, want ErrInvalid", rev, err)
	}
	if rev, err := r.Update(t.Context(), careless); rev != 0 || !errors.Is(err, registry.ErrInvalid) {
		t.Errorf("Update = %d, %v, want ErrInvalid", rev, err)
	}
	tries := 0
	rev, err := r.Update(t.Context(), func(tx *registry.Tx[registry.Machine]) error {
		tries++
		if _, err := tx.Get("a"); err != nil {
			return err
		}
		if tries <= 2 { // a conflict, so that the third try is under the lock
			m := machineOf("a")
			m.KeyPath = fmt.Sprint(tries)
			if _, err := r.Add(t.Context(), m); err != nil {
				return err
			}
			return tx.Put("good", machineOf("good"))
		}
		return careless(tx)
	})
	if rev != 0 || !errors.Is(err, registry.ErrInvalid) || tries != 3 {
		t.Errorf("Update = %d, %v after %d tries, want ErrInvalid after 3", rev, err, tries)
	}
	if _, err := r.Get("good"); !errors.Is(err, registry.ErrNotFound) {
		t.Errorf("half of a refused transaction took effect: %v", err)
	}
}

// Holds sees quarantined entries, and what the transaction itself wrote; it is
// a read.
func TestTxHolds(t *testing.T) {
	path := newPath(t)
	mustWrite(t, path, `{"version":1,"machines":{"good":{"type":"t"},"bad":{"type":""}}}`)
	r := open(t, path, nil)
	tx := r.Begin()
	for name, want := range map[string]bool{"good": true, "bad": true, "none": false, registry.LocalName: true} {
		if got := tx.Holds(name); got != want {
			t.Errorf("Holds(%q) = %t, want %t", name, got, want)
		}
	}
	if err := errors.Join(tx.Remove("bad"), tx.Remove("good"), tx.Put("none", machineOf("none"))); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{"good": false, "bad": false, "none": true} {
		if got := tx.Holds(name); got != want {
			t.Errorf("Holds(%q) = %t after it was written, want %t", name, got, want)
		}
	}
	reader := r.Begin()
	if reader.Holds("later") {
		t.Error("Holds of what is not there")
	}
	if err := reader.Put("other", machineOf("other")); err != nil {
		t.Fatal(err)
	}
	add(t, r, "later")
	if _, err := reader.Commit(t.Context()); !errors.Is(err, registry.ErrConflict) {
		t.Errorf("Commit after what Holds saw has changed = %v, want ErrConflict", err)
	}
}
