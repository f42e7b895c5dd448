package registry_test

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"time"

	"github.com/machreg/machreg/internal/vfs"
	"github.com/machreg/machreg/internal/vfs/errorfs"
	"github.com/machreg/machreg/registry"
	"github.com/machreg/machreg/snapshot"
)

// result is what a write returned.
type result struct {
	rev registry.Revision
	err error
}

func inBackground(write func() (registry.Revision, error)) <-chan result {
	out := make(chan result, 1)
	go func() {
		rev, err := write()
		out <- result{rev, err}
	}()
	return out
}

// hang is an update whose function is at work under the lock, until it is told
// to end.
func hang(t testing.TB, ctx context.Context, r *registry.MachineRegistry, name string) (entered <-chan struct{}, end func(), ended <-chan result) {
	in, out := make(chan struct{}), make(chan struct{})
	return in, func() { close(out) }, inBackground(func() (registry.Revision, error) {
		return registry.UpdateLocked(ctx, r.Registry, func(tx *tx) error {
			close(in)
			<-out
			return tx.Put(name, machineOf(name))
		})
	})
}

// A function that hangs under the lock shares its commit with no other write:
// those before it in line are answered, those behind it time out.
func TestHangingUpdateIsAlone(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	r := open(t, path, &registry.Options{LockTimeout: 5 * time.Second})
	free := occupy(t, r)
	background := context.Background() // which never ends
	before := inBackground(func() (registry.Revision, error) { return r.Add(background, machineOf("before")) })
	awaitLine(r.Registry, 1)
	entered, end, ended := hang(t, background, r, "hung")
	awaitLine(r.Registry, 2)
	after := inBackground(func() (registry.Revision, error) { return r.Add(background, machineOf("after")) })
	awaitLine(r.Registry, 3)
	free()
	if got := <-before; got.err != nil {
		t.Errorf("Add before an update that hangs: %v", got.err)
	}
	<-entered
	if got := <-after; !errors.Is(got.err, registry.ErrLockTimeout) {
		t.Errorf("Add behind an update that hangs = %v, want ErrLockTimeout", got.err)
	}
	end()
	if got := <-ended; got.err != nil {
		t.Errorf("update that hung for longer than the lock timeout: %v", got.err)
	}
	raw := mustParse(t, path)
	for name, want := range map[string]bool{"before": true, "hung": true, "after": false} {
		if _, ok := raw.Machines[name]; ok != want {
			t.Errorf("the file holds %q: %t, want %t", name, ok, want)
		}
	}
}

// An update that is cancelled while its function is at work under the lock has
// changed nothing, and does not return before its function.
func TestCancelledUpdateIsWithdrawn(t *testing.T) {
	path := newPath(t)
	r := open(t, path, nil)
	add(t, r, "a")
	ctx, cancel := context.WithCancel(t.Context())
	entered, end, ended := hang(t, ctx, r, "hung")
	<-entered
	cancel()
	behind := inBackground(func() (registry.Revision, error) { return r.Add(t.Context(), machineOf("b")) })
	awaitLine(r.Registry, 1)
	for registry.Left(r.Registry) == 0 {
		runtime.Gosched()
	}
	select {
	case got := <-ended:
		t.Errorf("update = %d, %v while its function is at work", got.rev, got.err)
	default:
	}
	end()
	if got := <-ended; !errors.Is(got.err, context.Canceled) || errors.Is(got.err, registry.ErrInDoubt) {
		t.Errorf("cancelled update = %d, %v, want %v", got.rev, got.err, context.Canceled)
	}
	if got := <-behind; got.rev != 2 || got.err != nil {
		t.Errorf("Add behind a cancelled update = %d, %v, want 2", got.rev, got.err)
	}
	if _, err := r.Get("hung"); !errors.Is(err, registry.ErrNotFound) {
		t.Errorf("Get of what a cancelled update put = %v, want ErrNotFound", err)
	}
}

// A commit that does not end leaves its writers in doubt, those too whose
// context cannot end, and the next write finds out.
func TestHangingCommitIsInDoubt(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	other := open(t, path, nil)
	disk := errorfs.Wrap(vfs.OS)
	r := open(t, path, &registry.Options{FS: disk, LockTimeout: 2 * time.Second})
	add(t, r, "a")
	registry.SetPatience(r.Registry, 50*time.Millisecond)
	held, free := make(chan struct{}), make(chan struct{})
	disk.Before(func(op errorfs.Op) {
		if op.Kind == errorfs.Rename && held != nil {
			close(held)
			held = nil
			<-free
		}
	})
	first := held
	if _, err := r.Add(context.Background(), machineOf("b")); !errors.Is(err, registry.ErrInDoubt) {
		t.Errorf("Add whose commit hangs = %v, want ErrInDoubt", err)
	}
	<-first
	close(free)
	rev, err := registry.UpdateLocked(t.Context(), other.Registry, func(tx *tx) error {
		_, err := tx.Get("b")
		return err
	})
	if err != nil || rev != 2 {
		t.Errorf("update after a commit that ended late = %d, %v, want 2", rev, err)
	}
}

// overtakenStore lets a commit start over so late that the lock timeout of the
// write that came first is over.
type overtakenStore struct {
	*memoryStore
	inLine chan struct{}
	late   bool
}

func (s *overtakenStore) Commit(ctx context.Context, deadline time.Time, apply func(*snapshot.Snapshot[registry.Machine]) *snapshot.Snapshot[registry.Machine]) (*snapshot.Snapshot[registry.Machine], error) {
	if s.late {
		return s.memoryStore.Commit(ctx, deadline, apply)
	}
	s.late = true
	<-s.inLine
	apply(s.engine.current.Load())
	time.Sleep(time.Until(deadline) + time.Millisecond)
	return nil, registry.ErrLockTimeout
}

// The lock timeout of a write is that write's own: when it is over, others of
// the group go on waiting.
func TestLockTimeoutIsEachWritesOwn(t *testing.T) {
	t.Parallel()
	e := newEngine(t)
	s := &overtakenStore{memoryStore: &memoryStore{engine: e, changes: make(chan struct{}, 1)}, inLine: make(chan struct{})}
	s.loaded.Store(e.current.Load())
	r, err := registry.OpenStore(s, registry.MachineSchema(), &registry.Options{LockTimeout: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	put := func(name string) <-chan result {
		return inBackground(func() (registry.Revision, error) { return r.Put(t.Context(), name, machineOf(name)) })
	}
	early := put("early")
	awaitLine(r, 1)
	time.Sleep(2 * time.Second) // by which its timeout is over earlier
	later := put("later")
	awaitLine(r, 2)
	close(s.inLine)
	if got := <-early; !errors.Is(got.err, registry.ErrLockTimeout) {
		t.Errorf("Put whose lock timeout is over = %v, want ErrLockTimeout", got.err)
	}
	if got := <-later; got.err != nil || got.rev != 1 {
		t.Errorf("Put whose lock timeout is not over = %d, %v, want 1", got.rev, got.err)
	}
}
