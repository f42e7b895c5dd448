package registry_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"testing"

	"pgregory.net/rapid"

	"github.com/machreg/machreg/registry"
)

// view is what a consumer of changes knows: the state they add up to.
type view[V comparable] struct {
	revision registry.Revision
	entries  map[string]V
}

func viewOf[V comparable](revision registry.Revision, all iter.Seq2[string, V]) view[V] {
	return view[V]{revision, maps.Collect(all)}
}

// apply is an error if the change does not begin where the view ends, or says
// something that is not so of what the view holds.
func (v *view[V]) apply(c registry.Change[V]) error {
	if c.From != v.revision || c.To < c.From { // a hand edit is no revision
		return fmt.Errorf("change from revision %d to %d at revision %d", c.From, c.To, v.revision)
	}
	v.revision = c.To
	for _, i := range c.Removed {
		if old, ok := v.entries[i.Name]; !ok || old != i.Value {
			return fmt.Errorf("removed %q with %v, had %v (%v)", i.Name, i.Value, old, ok)
		}
		delete(v.entries, i.Name)
	}
	for _, u := range c.Updated {
		if old, ok := v.entries[u.Name]; !ok || old != u.Old || u.Old == u.New {
			return fmt.Errorf("updated %q from %v to %v, had %v (%v)", u.Name, u.Old, u.New, old, ok)
		}
		v.entries[u.Name] = u.New
	}
	for _, i := range c.Added {
		if old, ok := v.entries[i.Name]; ok {
			return fmt.Errorf("added %q, had %v", i.Name, old)
		}
		v.entries[i.Name] = i.Value
	}
	return nil
}

// flags is a registry that nothing is built into.
func openFlags(t testing.TB, path string, opts *registry.Options) *registry.Registry[string] {
	t.Helper()
	r, err := registry.Open(path, registry.Schema[string]{Collection: "flags"}, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

func put(t testing.TB, r *registry.Registry[string], name, value string) registry.Revision {
	t.Helper()
	rev, err := r.Put(t.Context(), name, value)
	if err != nil {
		t.Fatal(err)
	}
	return rev
}

func remove(t testing.TB, r *registry.Registry[string], name string) {
	t.Helper()
	if _, err := r.Remove(t.Context(), name); err != nil {
		t.Fatal(err)
	}
}

// steps pulls changes one at a time, as a consumer with other things to do.
func steps[V any](t testing.TB, changes iter.Seq2[registry.Change[V], error]) (next func() registry.Change[V]) {
	t.Helper()
	pull, stop := iter.Pull2(changes)
	t.Cleanup(stop)
	return func() registry.Change[V] {
		t.Helper()
		c, err, ok := pull()
		if err != nil || !ok {
			t.Errorf("Watch: %v, %v", err, ok)
		}
		return c
	}
}

func TestWatchDiffers(t *testing.T) {
	r := openFlags(t, newPath(t), nil)
	put(t, r, "kept", "1")
	put(t, r, "changed", "1")
	put(t, r, "gone", "1")
	next := steps(t, r.Watch(t.Context()))
	put(t, r, "changed", "2")
	remove(t, r, "gone")
	put(t, r, "new", "1")
	got := fmt.Sprintf("%+v", next())
	want := "{From:3 To:6 Added:[{Name:new Value:1}] Updated:[{Name:changed Old:1 New:2}] Removed:[{Name:gone Value:1}]}"
	if got != want {
		t.Errorf("Watch yields %s, want %s", got, want)
	}
}

// What changes between the call and the first step is not missed, and a
// consumer that sleeps through any number of writes gets one difference.
func TestWatchSlowConsumer(t *testing.T) {
	r := openFlags(t, newPath(t), &registry.Options{Sync: registry.SyncNone})
	next := steps(t, r.Watch(t.Context()))
	v := view[string]{0, map[string]string{}}
	for round := range 3 {
		for i := range 20 {
			put(t, r, fmt.Sprintf("flag-%d", i), fmt.Sprintf("%d/%d", round, i))
		}
		if err := v.apply(next()); err != nil {
			t.Fatal(err)
		}
		if v.revision != r.Revision() || !maps.Equal(v.entries, viewOf(0, r.All()).entries) {
			t.Errorf("one step leads to revision %d with %v, want %d", v.revision, v.entries, r.Revision())
		}
	}
}

// The first change of WithInitial is the present state, also when that is
// nothing, and no other is empty.
func TestWatchInitial(t *testing.T) {
	for _, entries := range []int{0, 3} {
		path := newPath(t)
		r := openFlags(t, path, &registry.Options{Refresh: registry.RefreshNever})
		for i := range entries {
			put(t, r, fmt.Sprintf("flag-%d", i), "1")
		}
		next := steps(t, r.Watch(t.Context(), registry.WithInitial()))
		first := next()
		if first.From != 0 || first.To != registry.Revision(entries) || len(first.Added) != entries {
			t.Errorf("with %d entries the first change is %+v", entries, first)
		}
		// Revisions that come to nothing.
		other := openFlags(t, path, nil)
		put(t, other, "passing", "1")
		remove(t, other, "passing")
		if err := r.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		changes := make(chan registry.Change[string])
		go func() { changes <- next() }() // most likely sees them before the put
		to := put(t, r, "new", "1")
		if c := <-changes; c.From != first.To || c.To != to || len(c.Added) != 1 {
			t.Errorf("after revision %d a put as %d yields %+v", first.To, to, c)
		}
	}
}

// Writes that cancel out are no change; the next change spans them, so that
// each begins where the one before it ended.
func TestWatchSpansCancelledWrites(t *testing.T) {
	r := openFlags(t, newPath(t), nil)
	v := viewOf(r.Revision(), r.All())
	next := steps(t, r.Watch(t.Context()))
	put(t, r, "a", "1")
	if err := v.apply(next()); err != nil {
		t.Fatal(err)
	}
	changes := make(chan registry.Change[string])
	for range 5 {
		put(t, r, "b", "1")
		remove(t, r, "b")
	}
	go func() { changes <- next() }() // most likely sees these before the put
	put(t, r, "c", "1")
	if err := v.apply(<-changes); err != nil {
		t.Error(err)
	}
}

// Ranging twice over one watch begins twice at the revision of the call.
func TestWatchTwice(t *testing.T) {
	r := openFlags(t, newPath(t), nil)
	put(t, r, "before", "1")
	changes := r.Watch(t.Context())
	put(t, r, "a", "1")
	for range 2 {
		for c, err := range changes {
			if err != nil || c.From != 1 || len(c.Added) != 1 {
				t.Errorf("Watch yields %+v, %v", c, err)
			}
			break
		}
		put(t, r, "a", "2")
		remove(t, r, "a")
		put(t, r, "a", "3")
	}
}

func TestWatchEnds(t *testing.T) {
	cause := errors.New("the consumer has enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	canceled, cancelNow := context.WithCancel(t.Context())
	cancelNow()
	closed := openFlags(t, newPath(t), nil)
	closed.Close()
	live := openFlags(t, newPath(t), nil)
	ends := []struct {
		name  string
		r     *registry.Registry[string]
		ctx   context.Context
		begin func(*registry.Registry[string])
		want  error
	}{
		{"canceled before", live, canceled, nil, context.Canceled},
		{"closed before", closed, t.Context(), nil, registry.ErrClosed},
		{"canceled in the wait", live, ctx, func(*registry.Registry[string]) { cancel(cause) }, cause},
		{"closed in the wait", live, t.Context(), func(r *registry.Registry[string]) { r.Close() }, registry.ErrClosed},
	}
	for _, e := range ends {
		t.Run(e.name, func(t *testing.T) {
			if e.begin != nil {
				go e.begin(e.r)
			}
			errs := 0
			for c, err := range e.r.Watch(e.ctx) {
				errs++
				if !errors.Is(err, e.want) || !c.Empty() {
					t.Errorf("Watch yields %+v, %v, want %v", c, err, e.want)
				}
			}
			if errs != 1 {
				t.Errorf("Watch yields %d times, want once", errs)
			}
		})
	}
}

// Whatever is written, by whatever means, and whenever a consumer looks: what
// it was told adds up to what is there.
func TestWatchAddsUp(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		path := newPath(t)
		opts := &registry.Options{Sync: registry.SyncNone, Refresh: registry.RefreshNever}
		watched, other := openFlags(t, path, opts), openFlags(t, path, opts)
		defer watched.Close()
		defer other.Close()
		next := steps(t, watched.Watch(t.Context(), registry.WithInitial()))
		next()
		v := viewOf(watched.Revision(), watched.All())
		name := rapid.SampledFrom([]string{"a", "b", "c", "d"})
		value := rapid.SampledFrom([]string{"1", "2"})
		look := func(rt *rapid.T) {
			if _, err := watched.Latest(t.Context()); err != nil {
				rt.Fatal(err)
			}
			now := viewOf(watched.Revision(), watched.All())
			if maps.Equal(now.entries, v.entries) {
				return // a step would wait
			}
			if err := v.apply(next()); err != nil {
				rt.Fatal(err)
			}
			if v.revision != now.revision || !maps.Equal(v.entries, now.entries) {
				rt.Fatalf("changes add up to %v, want %v", v, now)
			}
		}
		write := func(r *registry.Registry[string]) func(*rapid.T) {
			return func(rt *rapid.T) {
				if _, err := r.Put(t.Context(), name.Draw(rt, "name"), value.Draw(rt, "value")); err != nil {
					rt.Fatal(err)
				}
			}
		}
		rt.Repeat(map[string]func(*rapid.T){
			"look":          look,
			"put here":      write(watched),
			"put elsewhere": write(other),
			"remove": func(rt *rapid.T) {
				if _, err := other.Remove(t.Context(), name.Draw(rt, "name")); err != nil && !errors.Is(err, registry.ErrNotFound) {
					rt.Fatal(err)
				}
			},
			"overwrite": func(rt *rapid.T) {
				mustWrite(t, path, fmt.Sprintf(`{"version":1,"flags":{%q:%q}}`, name.Draw(rt, "name"), value.Draw(rt, "value")))
			},
		})
		look(rt)
	})
}
