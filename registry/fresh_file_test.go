package registry_test

import (
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/machreg/machreg/registry"
)

// troubled demands that the handle goes on with the last good revision, says
// what is wrong, and refuses to write.
func troubled(t testing.TB, r *registry.MachineRegistry, good registry.Revision, name string, want error) {
	t.Helper()
	eventually(t, "Health reports the file", func() bool { return problem(r.Health(), "file") != nil })
	if p := problem(r.Health(), "file"); !errors.Is(p.Err, want) || p.Since.IsZero() {
		t.Errorf("Health() = %v since %v, want %v", p.Err, p.Since, want)
	}
	if s := r.Stats(); !errors.Is(s.Trouble, want) || s.Failures == 0 {
		t.Errorf("Stats() = %+v, want trouble and failures", s)
	}
	if m, err := r.Get(name); err != nil || m != machineOf(name) || r.Revision() != good {
		t.Errorf("Get(%q) = %+v, %v at revision %d, want the last good revision %d", name, m, err, r.Revision(), good)
	}
	if _, err := r.Latest(t.Context()); !errors.Is(err, want) {
		t.Errorf("Latest: %v, want %v", err, want)
	}
	if rev, err := r.Add(t.Context(), machineOf("refused")); !errors.Is(err, want) {
		t.Errorf("Add = %d, %v, want %v", rev, err, want)
	}
}

// healed demands that everything works again, above the revision before.
func healed(t testing.TB, r *registry.MachineRegistry, before registry.Revision, name string) {
	t.Helper()
	eventually(t, "Health is good again", func() bool { return r.Health() == nil })
	snap, err := r.Latest(t.Context())
	if err != nil || !snap.Holds(name) || snap.Holds("refused") || snap.Revision() < before {
		t.Errorf("Latest = %v, %v", snap, err)
	}
	if rev := add(t, r, "after"); rev <= before {
		t.Errorf("the next write is revision %d, not above %d", rev, before)
	}
}

// The file goes wrong under a running registry, in ways that are noticed by
// event and by polling, and is put right again.
func TestFileTroubles(t *testing.T) {
	for _, policy := range []registry.RefreshPolicy{registry.RefreshWatch, registry.RefreshPoll} {
		opts := &registry.Options{Refresh: policy, PollInterval: 20 * time.Millisecond}
		troubles := []struct {
			name        string
			spoil, mend func(path string, good []byte) error
			want        error
		}{
			{"deleted and put back", func(path string, _ []byte) error { return os.Remove(path) },
				func(path string, good []byte) error { return os.WriteFile(path, good, 0o644) }, registry.ErrMissing},
			{"moved away and back", func(path string, _ []byte) error { return os.Rename(path, path+".away") },
				func(path string, _ []byte) error { return os.Rename(path+".away", path) }, registry.ErrMissing},
			{"corrupted and repaired in place", func(path string, good []byte) error { return os.WriteFile(path, good[:len(good)/2], 0o644) },
				func(path string, good []byte) error { return os.WriteFile(path, good, 0o644) }, registry.ErrCorrupt},
			{"replaced by a corrupt one", func(path string, _ []byte) error { return writeAndRename(path, []byte("{}")) },
				func(path string, good []byte) error { return writeAndRename(path, good) }, registry.ErrCorrupt},
			{"emptied", func(path string, _ []byte) error { return os.Truncate(path, 0) },
				func(path string, good []byte) error { return writeAndRename(path, good) }, registry.ErrCorrupt},
		}
		for _, tr := range troubles {
			t.Run(fmt.Sprintf("%s/%d", tr.name, policy), func(t *testing.T) {
				path := newPath(t)
				r := open(t, path, opts)
				before := add(t, r, "a", "b", "c")
				good := mustRead(t, path)
				if err := tr.spoil(path, good); err != nil {
					t.Fatal(err)
				}
				troubled(t, r, before, "b", tr.want)
				if err := tr.mend(path, good); err != nil {
					t.Fatal(err)
				}
				healed(t, r, before, "c")
			})
		}
	}
}

// An older copy is put back: its content counts, its revision does not.
func TestOlderCopyRestored(t *testing.T) {
	path := newPath(t)
	r := open(t, path, nil)
	add(t, r, "a")
	old := mustRead(t, path)
	before := add(t, r, "b", "c")
	v := viewOf(r.Revision(), r.All())
	next := steps(t, r.Watch(t.Context()))
	if err := writeAndRename(path, old); err != nil {
		t.Fatal(err)
	}
	c := next()
	if err := v.apply(c); err != nil {
		t.Error(err)
	}
	if len(c.Removed) != 2 || r.Snapshot().Holds("b") || !r.Snapshot().Holds("a") {
		t.Errorf("a restored copy is %+v", c)
	}
	// A handle that is opened now gives it the same revision, with and without a
	// page that it can map, and no condition accepts that.
	mapped, unmapped := open(t, path, nil), open(t, path, &registry.Options{Page: registry.PageOff})
	for _, h := range []*registry.MachineRegistry{r, mapped, unmapped} {
		if s := h.Snapshot(); s.Revision() != before || !s.Edited() {
			t.Errorf("a restored copy is revision %d, edited %t; want %d, true", s.Revision(), s.Edited(), before)
		}
	}
	if rev, err := unmapped.Add(t.Context(), machineOf("e"), registry.IfRevision(before)); !errors.Is(err, registry.ErrConflict) {
		t.Errorf("a write on condition of revision %d = %d, %v, want ErrConflict", before, rev, err)
	}
	// The refused write gave the copy its revision, so that a second try can work.
	seen, err := mapped.Latest(t.Context())
	if err != nil || seen.Revision() != before+1 || seen.Edited() || seen.Holds("b") {
		t.Errorf("after a refused write: revision %d, edited %t, %v, want %d", seen.Revision(), seen.Edited(), err, before+1)
	}
	if rev, err := unmapped.Add(t.Context(), machineOf("d"), registry.IfRevision(before+1)); rev != before+2 || err != nil {
		t.Errorf("the second try = %d, %v, want %d", rev, err, before+2)
	}
	sees(t, r, "d")
}

// Read your writes across handles: the one passes its revision on, the other
// waits for it, whatever its refresh policy.
func TestAtLeast(t *testing.T) {
	for _, policy := range []registry.RefreshPolicy{registry.RefreshWatch, registry.RefreshPoll, registry.RefreshNever} {
		for _, pages := range []registry.PagePolicy{registry.PageAuto, registry.PageOff} {
			path := newPath(t)
			writer := open(t, path, nil)
			reader := open(t, path, &registry.Options{Refresh: policy, Page: pages, ReadOnly: true})
			for i := range 20 {
				name := fmt.Sprintf("m-%d", i)
				ahead := writer.Revision() + 1
				waited := make(chan error)
				go func() {
					snap, err := reader.AtLeast(t.Context(), ahead)
					if err == nil && (snap.Revision() < ahead || !snap.Holds(name)) {
						err = fmt.Errorf("at revision %d, holds %q = %v", snap.Revision(), name, snap.Holds(name))
					}
					waited <- err
				}()
				if rev := add(t, writer, name); rev != ahead {
					t.Fatalf("Add = %d, want %d", rev, ahead)
				}
				if snap, err := reader.AtLeast(t.Context(), ahead); err != nil || !snap.Holds(name) {
					t.Errorf("AtLeast(%d) after the write = %v, %v", ahead, snap, err)
				}
				if err := <-waited; err != nil {
					t.Errorf("AtLeast(%d) before the write: %v", ahead, err)
				}
				if m, err := reader.Get(name); err != nil || m != machineOf(name) {
					t.Errorf("Get(%q) after AtLeast = %v, %v", name, m, err)
				}
			}
		}
	}
}

func TestReadsDoNotAllocate(t *testing.T) {
	r := open(t, newPath(t), nil)
	rev := add(t, r, "a", "b")
	needPage(t, r)
	reads := map[string]func() error{
		"Get":     func() error { _, err := r.Get("b"); return err },
		"Latest":  func() error { _, err := r.Latest(t.Context()); return err },
		"AtLeast": func() error { _, err := r.AtLeast(t.Context(), rev); return err },
	}
	sees(t, r, "b")
	for name, read := range reads {
		var err error
		if n := testing.AllocsPerRun(1000, func() { err = errors.Join(err, read()) }); n != 0 || err != nil {
			t.Errorf("%s allocates %v times, %v; want 0", name, n, err)
		}
	}
}
