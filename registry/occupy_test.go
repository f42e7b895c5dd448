package registry_test

import (
	"errors"
	"runtime"
	"testing"

	"github.com/machreg/machreg/registry"
)

// updateUnderLock is Update with fn run under the lock: it causes the two
// conflicts after which Update stops hoping.
func updateUnderLock(t testing.TB, r *registry.MachineRegistry, fn func(tx *registry.Tx[registry.Machine]) error) (registry.Revision, error) {
	tries := 0
	return r.Update(t.Context(), func(tx *registry.Tx[registry.Machine]) error {
		if tries++; tries > 2 {
			return fn(tx)
		}
		if _, err := tx.Get("contended"); err != nil && !errors.Is(err, registry.ErrNotFound) {
			return err
		}
		_, err := r.Add(t.Context(), generation("contended", int(tx.Revision())+1))
		return err
	})
}

// occupy makes r busy with a commit that does not end before free is called.
// What is written meanwhile is in line for the next one. A write of another
// handle waits for the lock.
func occupy(t testing.TB, r *registry.MachineRegistry) (free func()) {
	t.Helper()
	busy, done := make(chan struct{}), make(chan struct{})
	ended := make(chan error, 1)
	go func() {
		_, err := updateUnderLock(t, r, func(tx *registry.Tx[registry.Machine]) error {
			close(busy)
			<-done
			return tx.Put("occupied", generation("occupied", int(tx.Revision())))
		})
		ended <- err
	}()
	select {
	case <-busy:
	case err := <-ended:
		t.Fatalf("occupying the registry: %v", err)
	}
	return func() {
		close(done)
		if err := <-ended; err != nil {
			t.Errorf("occupying the registry: %v", err)
		}
	}
}

// awaitLine waits until n writes are in line.
func awaitLine[V any](r *registry.Registry[V], n int) {
	for registry.Waiting(r) != n {
		runtime.Gosched()
	}
}
