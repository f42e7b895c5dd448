package registry_test

import (
	"errors"
	"reflect"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/machreg/machreg/registry"
)

func TestConditions(t *testing.T) {
	type conflict = registry.ConflictError[registry.Machine]
	changed := machineOf("a")
	changed.TownPath = "/changed"
	local := registry.Machine{Name: registry.LocalName, Type: registry.TypeLocal}
	for _, c := range []struct {
		name string
		// The registry is at revision 2 and holds a and b.
		write func(r *registry.MachineRegistry) (registry.Revision, error)
		rev   registry.Revision
		cause error
		want  conflict
	}{
		{
			name: "absent, and it is",
			write: func(r *registry.MachineRegistry) (registry.Revision, error) {
				return r.Add(t.Context(), machineOf("c"), registry.IfAbsent())
			},
			rev: 3,
		}, {
			name: "absent, and it is not",
			write: func(r *registry.MachineRegistry) (registry.Revision, error) {
				return r.Add(t.Context(), changed, registry.IfAbsent())
			},
			cause: registry.ErrExists,
			want:  conflict{Name: "a", Expected: 2, Current: 2, Value: machineOf("a"), Exists: true},
		}, {
			name: "absent, but built in",
			write: func(r *registry.MachineRegistry) (registry.Revision, error) {
				return r.Add(t.Context(), local, registry.IfAbsent())
			},
			cause: registry.ErrExists,
			want:  conflict{Name: "local", Expected: 2, Current: 2, Value: local, Exists: true},
		}, {
			name: "this revision, and it is",
			write: func(r *registry.MachineRegistry) (registry.Revision, error) {
				return r.Add(t.Context(), changed, registry.IfRevision(2))
			},
			rev: 3,
		}, {
			name: "this revision, but nothing to change",
			write: func(r *registry.MachineRegistry) (registry.Revision, error) {
				return r.Add(t.Context(), machineOf("a"), registry.IfRevision(2))
			},
			rev: 2,
		}, {
			name: "an older revision",
			write: func(r *registry.MachineRegistry) (registry.Revision, error) {
				return r.Add(t.Context(), changed, registry.IfRevision(1))
			},
			cause: registry.ErrConflict,
			want:  conflict{Name: "a", Expected: 1, Current: 2, Value: machineOf("a"), Exists: true},
		}, {
			name: "a revision to come",
			write: func(r *registry.MachineRegistry) (registry.Revision, error) {
				return r.Add(t.Context(), machineOf("c"), registry.IfRevision(3))
			},
			cause: registry.ErrConflict,
			want:  conflict{Name: "c", Expected: 3, Current: 2},
		}, {
			name: "remove at an older revision",
			write: func(r *registry.MachineRegistry) (registry.Revision, error) {
				return r.Remove(t.Context(), "a", registry.IfRevision(1))
			},
			cause: registry.ErrConflict,
			want:  conflict{Name: "a", Expected: 1, Current: 2, Value: machineOf("a"), Exists: true},
		}, {
			name: "remove at this revision",
			write: func(r *registry.MachineRegistry) (registry.Revision, error) {
				return r.Remove(t.Context(), "a", registry.IfRevision(2))
			},
			rev: 3,
		}, {
			name: "both",
			write: func(r *registry.MachineRegistry) (registry.Revision, error) {
				return r.Add(t.Context(), machineOf("c"), registry.IfAbsent(), registry.IfRevision(1))
			},
			cause: registry.ErrConflict,
			want:  conflict{Name: "c", Expected: 1, Current: 2},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := newPath(t)
			// The handle that writes has not seen what the other one wrote.
			r := open(t, path, &registry.Options{Refresh: registry.RefreshNever})
			add(t, open(t, path, nil), "a", "b")
			before := string(mustRead(t, path))
			rev, err := c.write(r)
			if rev != c.rev || !errors.Is(err, c.cause) {
				t.Fatalf("got revision %d, %v, want %d, %v", rev, err, c.rev, c.cause)
			}
			if c.cause == nil {
				return
			}
			var got *conflict
			if !errors.As(err, &got) {
				t.Fatalf("error %v is no ConflictError", err)
			}
			// The cause, not exported, was compared above.
			if got.Name != c.want.Name || got.Expected != c.want.Expected || got.Current != c.want.Current || got.Value != c.want.Value || got.Exists != c.want.Exists {
				t.Errorf("conflict is %+v, want %+v", got, c.want)
			}
			if after := string(mustRead(t, path)); after != before {
				t.Errorf("a refused write changed the file to %s", after)
			}
			if r.Revision() != 2 {
				t.Errorf("after a conflict the handle is at revision %d, want 2", r.Revision())
			}
		})
	}
}

// Of many that want to be the first, exactly one is.
func TestIfAbsentElectsOne(t *testing.T) {
	path := newPath(t)
	handles := []*registry.MachineRegistry{open(t, path, nil), open(t, path, nil)}
	for round := range long(10) {
		var won atomic.Int64
		var wg sync.WaitGroup
		for i := range 16 {
			wg.Go(func() {
				_, err := handles[i%2].Add(t.Context(), generation("leader", 100*round+i), registry.IfAbsent())
				switch {
				case err == nil:
					won.Add(1)
				case !errors.Is(err, registry.ErrExists):
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if won.Load() != 1 {
			t.Fatalf("%d writers were told that they were first", won.Load())
		}
		if _, err := handles[round%2].Remove(t.Context(), "leader"); err != nil {
			t.Fatal(err)
		}
	}
}

// Of many that write on the same revision, exactly one does.
func TestIfRevisionAdmitsOne(t *testing.T) {
	path := newPath(t)
	handles := []*registry.MachineRegistry{open(t, path, nil), open(t, path, nil)}
	for round := range long(10) {
		snap, err := handles[0].Latest(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var mu sync.Mutex
		var revs []registry.Revision
		var wg sync.WaitGroup
		for i := range 16 {
			wg.Go(func() {
				rev, err := handles[i%2].Add(t.Context(), generation("m", 100*round+i), registry.IfRevision(snap.Revision()))
				switch {
				case err == nil:
					mu.Lock()
					revs = append(revs, rev)
					mu.Unlock()
				case !errors.Is(err, registry.ErrConflict):
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if want := []registry.Revision{snap.Revision() + 1}; !reflect.DeepEqual(revs, want) {
			t.Fatalf("writes at revision %d were given %d, want %d", snap.Revision(), revs, want)
		}
	}
}
