package registry_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/machreg/machreg/registry"
)

// A call that has passed the registry's own check when Close begins must not
// wait for a store that is closed for good.
func TestRefreshAfterStoreClosed(t *testing.T) {
	r := open(t, newPath(t), nil)
	add(t, r, "a")
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if _, err := r.StoreRefresh(ctx); !errors.Is(err, registry.ErrClosed) {
		t.Errorf("Refresh of a closed store: %v, want ErrClosed", err)
	}
}

// Every kind of read is under way when the registry is closed.
func TestCloseUnderReads(t *testing.T) {
	path := newPath(t)
	writer := open(t, path, &registry.Options{Sync: registry.SyncNone})
	add(t, writer, "a")
	for range long(15) {
		r, err := registry.OpenMachines(path, nil)
		if err != nil {
			t.Fatal(err)
		}
		var reads sync.WaitGroup
		read := func(name string, step func() error) {
			reads.Go(func() {
				for {
					if err := step(); err != nil {
						if !errors.Is(err, registry.ErrClosed) {
							t.Errorf("%s under Close: %v, want ErrClosed", name, err)
						}
						return
					}
				}
			})
		}
		// Without an end of their own: only Close can end them.
		ctx := context.Background()
		read("Latest", func() error { _, err := r.Latest(ctx); return err })
		read("Refresh", func() error { return r.Refresh(ctx) })
		read("AtLeast", func() error { _, err := r.AtLeast(ctx, 1<<40); return err })
		read("Watch", func() error {
			for _, err := range r.Watch(ctx) {
				if err != nil {
					return err
				}
			}
			return errors.New("the watch ended without an error")
		})
		add(t, writer, "b")
		if _, err := writer.Remove(t.Context(), "b"); err != nil {
			t.Fatal(err)
		}
		if err := r.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		reads.Wait()
		if m, err := r.Get("a"); err != nil || m != machineOf("a") {
			t.Errorf("Get after Close = %v, %v", m, err)
		}
		if _, err := r.Latest(ctx); !errors.Is(err, registry.ErrClosed) {
			t.Errorf("Latest after Close: %v, want ErrClosed", err)
		}
	}
}
