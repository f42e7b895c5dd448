package registry_test

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"

	"github.com/machreg/machreg/registry"
)

// Close waits for the writes that are under way: each is either acknowledged
// and in the file, or refused with ErrClosed and not.
func TestCloseUnderLoad(t *testing.T) {
	for round := range long(5) {
		path := newPath(t)
		r, err := registry.OpenMachines(path, nil)
		if err != nil {
			t.Fatal(err)
		}
		var acked acks
		var wg sync.WaitGroup
		some := make(chan struct{})
		started := sync.OnceFunc(func() { close(some) })
		for g := range 16 {
			wg.Go(func() {
				for i := 0; ; i++ {
					name := fmt.Sprintf("m-%d-%d", g, i)
					rev, err := r.Add(t.Context(), machineOf(name))
					if err != nil {
						if !errors.Is(err, registry.ErrClosed) {
							t.Errorf("add while closing: %v", err)
						}
						return
					}
					acked.note(t, name, rev)
					started()
				}
			})
		}
		<-some
		closers := make([]error, 3)
		for i := range closers {
			wg.Go(func() { closers[i] = r.Close() })
		}
		wg.Wait()
		for _, err := range closers {
			if err != nil {
				t.Errorf("Close: %v", err)
			}
		}
		acked.check(t, path, len(acked.got))
		t.Logf("round %d: %d acknowledged before Close", round, len(acked.got))
	}
}

// A write that is in line when Close is called is still committed.
func TestCloseWaitsForTheLine(t *testing.T) {
	path := newPath(t)
	r, err := registry.OpenMachines(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	free := occupy(t, r)
	ended := line(t, r, 5, always(t))
	closed := make(chan error, 1)
	go func() { closed <- r.Close() }()
	for !registry.Closing(r.Registry) {
		runtime.Gosched()
	}
	if _, err := r.Add(t.Context(), machineOf("late")); !errors.Is(err, registry.ErrClosed) {
		t.Errorf("Add after Close began = %v, want ErrClosed", err)
	}
	select {
	case err := <-closed:
		t.Fatalf("Close returned %v while a write was under way", err)
	default:
	}
	free()
	for i, out := range ended {
		if err := <-out; err != nil {
			t.Errorf("%s: %v", lineName(i), err)
		}
	}
	if err := <-closed; err != nil {
		t.Errorf("Close: %v", err)
	}
	raw := mustParse(t, path)
	for i := range ended {
		if _, ok := raw.Machines[lineName(i)]; !ok {
			t.Errorf("%s is not in the file", lineName(i))
		}
	}
	if _, ok := raw.Machines["late"]; ok {
		t.Error("what was refused is in the file")
	}
}

func TestAfterClose(t *testing.T) {
	path := newPath(t)
	r, err := registry.OpenMachines(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	add(t, r, "a")
	before := r.Begin()
	for range 2 {
		if err := r.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
	ctx := t.Context()
	calls := map[string]func() error{
		"Add":    func() error { _, err := r.Add(ctx, machineOf("b")); return err },
		"Put":    func() error { _, err := r.Put(ctx, "b", machineOf("b")); return err },
		"Remove": func() error { _, err := r.Remove(ctx, "a"); return err },
		"Update": func() error {
			_, err := r.Update(ctx, func(*tx) error { t.Error("Update ran"); return nil })
			return err
		},
		"Commit":  func() error { _, err := before.Commit(ctx); return err },
		"Refresh": func() error { return r.Refresh(ctx) },
		"Latest":  func() error { _, err := r.Latest(ctx); return err },
		"AtLeast": func() error { _, err := r.AtLeast(ctx, 99); return err },
		"Health":  func() error { return r.Health() },
		"Watch": func() (last error) {
			for _, err := range r.Watch(ctx) {
				last = err
			}
			return last
		},
	}
	for what, call := range calls {
		if err := call(); !errors.Is(err, registry.ErrClosed) {
			t.Errorf("%s after Close = %v, want ErrClosed", what, err)
		}
	}
	if m, err := r.Get("a"); err != nil || m != machineOf("a") || r.Len() != 2 || r.Revision() != 1 {
		t.Errorf("after Close Get = %+v, %v, with %d machines at revision %d", m, err, r.Len(), r.Revision())
	}
}
