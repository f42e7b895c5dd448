package registry_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/machreg/machreg/registry"
	"github.com/machreg/machreg/snapshot"
)

// engine is a store without any file: what a distributed one would be, in
// memory. Its handles are memoryStores.
type engine struct {
	current atomic.Pointer[snapshot.Snapshot[registry.Machine]]
	writing chan struct{} // the exclusive right to write

	mu      sync.Mutex
	handles []*memoryStore

	// overtaken has the next commit apply twice, as if somebody had got in
	// between; refusing has the next one fail before it begins; failing has
	// them all fail at their end.
	overtaken atomic.Bool
	refusing  atomic.Pointer[error]
	failing   atomic.Pointer[error]
}

func newEngine(t *testing.T) *engine {
	t.Helper()
	codec, err := snapshot.NewCodec(registry.MachineSchema())
	if err != nil {
		t.Fatal(err)
	}
	e := &engine{writing: make(chan struct{}, 1)}
	e.current.Store(codec.Empty())
	return e
}

// memoryStore is one handle on an engine.
type memoryStore struct {
	engine  *engine
	loaded  atomic.Pointer[snapshot.Snapshot[registry.Machine]]
	changes chan struct{}
	closed  atomic.Bool
}

var _ registry.Store[registry.Machine] = (*memoryStore)(nil)

func (e *engine) open(t *testing.T, opts *registry.Options) *registry.Registry[registry.Machine] {
	t.Helper()
	s := &memoryStore{engine: e, changes: make(chan struct{}, 1)}
	s.loaded.Store(e.current.Load())
	e.mu.Lock()
	e.handles = append(e.handles, s)
	e.mu.Unlock()
	r, err := registry.OpenStore(s, registry.MachineSchema(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil || !s.closed.Load() {
			t.Errorf("Close = %v, the store is closed: %t", err, s.closed.Load())
		}
	})
	return r
}

func (s *memoryStore) Current() (*snapshot.Snapshot[registry.Machine], bool) {
	snap := s.loaded.Load()
	return snap, snap == s.engine.current.Load()
}

func (s *memoryStore) Refresh(context.Context) (*snapshot.Snapshot[registry.Machine], error) {
	snap := s.engine.current.Load()
	s.loaded.Store(snap)
	return snap, nil
}

func (s *memoryStore) Commit(ctx context.Context, deadline time.Time, apply func(*snapshot.Snapshot[registry.Machine]) *snapshot.Snapshot[registry.Machine]) (*snapshot.Snapshot[registry.Machine], error) {
	if err := s.engine.refusing.Swap(nil); err != nil {
		return nil, *err
	}
	timeout := time.NewTimer(time.Until(deadline))
	defer timeout.Stop()
	select {
	case s.engine.writing <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-timeout.C:
		return nil, fmt.Errorf("engine: %w", registry.ErrLockTimeout)
	}
	defer func() { <-s.engine.writing }()
	base := s.engine.current.Load()
	next := apply(base)
	if s.engine.overtaken.Swap(false) {
		next = apply(base)
	}
	if next == nil { // every write was refused
		next = base
	}
	if err := s.engine.failing.Load(); err != nil && !errors.Is(*err, registry.ErrNotDurable) {
		return nil, *err
	}
	s.engine.current.Store(next)
	s.loaded.Store(next)
	s.engine.mu.Lock()
	defer s.engine.mu.Unlock()
	for _, h := range s.engine.handles {
		select {
		case h.changes <- struct{}{}:
		default:
		}
	}
	if err := s.engine.failing.Load(); err != nil {
		return next, *err
	}
	return next, nil
}

func (s *memoryStore) Changes() <-chan struct{}     { return s.changes }
func (s *memoryStore) Status() registry.StoreStatus { return registry.StoreStatus{} }
func (s *memoryStore) Close() error                 { s.closed.Store(true); return nil }

func TestAnotherStore(t *testing.T) {
	e := newEngine(t)
	const handles, goroutines, adds = 4, 8, 50
	watched := e.open(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var watching sync.WaitGroup
	seen := make(map[string]bool)
	changes := watched.Watch(ctx) // of everything after this
	watching.Go(func() {
		for change, err := range changes {
			if err != nil {
				t.Errorf("watch ended with %v after %d of its machines", err, len(seen))
				return
			}
			for _, item := range change.Added {
				seen[item.Name] = true
			}
			if len(seen) == handles*goroutines*adds {
				return
			}
		}
	})
	var acked acks
	var wg sync.WaitGroup
	for h := range handles {
		r := e.open(t, nil)
		for g := range goroutines {
			wg.Go(func() {
				for i := range adds {
					name := fmt.Sprintf("m-%d-%d-%d", h, g, i)
					rev, err := r.Put(t.Context(), name, machineOf(name))
					if err != nil {
						t.Error(err)
						return
					}
					acked.note(t, name, rev)
					if snap, err := watched.AtLeast(t.Context(), rev); err != nil || !snap.Holds(name) {
						t.Errorf("AtLeast(%d) does not hold %q: %v", rev, name, err)
					}
				}
			})
		}
	}
	wg.Wait()
	watching.Wait()
	final := e.current.Load()
	if want := handles * goroutines * adds; len(acked.got) != want || final.Revision() != registry.Revision(want) || final.Len() != want+1 {
		t.Errorf("%d adds acknowledged; %d machines at revision %d, want %d", len(acked.got), final.Len(), final.Revision(), want)
	}
}

func TestStoreOutcomes(t *testing.T) {
	e := newEngine(t)
	r := e.open(t, &registry.Options{LockTimeout: 500 * time.Millisecond})
	put := func(name string, conds ...registry.Condition) (registry.Revision, error) {
		return r.Put(t.Context(), name, machineOf(name), conds...)
	}
	if rev, err := put("a"); err != nil || rev != 1 {
		t.Fatalf("Put = %d, %v", rev, err)
	}

	// A store that starts over applies everything again, from the start.
	e.overtaken.Store(true)
	if rev, err := put("b", registry.IfAbsent()); err != nil || rev != 2 {
		t.Errorf("Put in a commit that started over = %d, %v, want revision 2", rev, err)
	}

	fail := func(err error) { e.failing.Store(&err) }
	broken := errors.New("engine: broken")
	fail(broken)
	if rev, err := put("c"); !errors.Is(err, broken) || rev != 0 || r.Revision() != 2 {
		t.Errorf("Put on a broken store = %d, %v at revision %d", rev, err, r.Revision())
	}
	// Whatever a store's error is like, it is an answer.
	for _, err := range []error{context.Canceled, context.DeadlineExceeded, registry.ErrLockTimeout} {
		fail(err)
		if _, got := put("c"); !errors.Is(got, err) {
			t.Errorf("Put on a store that fails with %v = %v", err, got)
		}
	}
	e.failing.Store(nil)
	for _, err := range []error{broken, context.Canceled} {
		e.refusing.Store(&err)
		if _, got := put("c"); !errors.Is(got, err) {
			t.Errorf("Put on a store that refuses with %v = %v", err, got)
		}
	}
	fail(registry.ErrNotDurable)
	if rev, err := put("c"); !errors.Is(err, registry.ErrNotDurable) || rev != 3 {
		t.Errorf("Put that is not durable = %d, %v, want revision 3", rev, err)
	}
	if _, err := r.Get("c"); err != nil {
		t.Errorf("Get of what is visible: %v", err)
	}
	e.failing.Store(nil)

	e.writing <- struct{}{} // somebody else writes
	if _, err := put("d"); !errors.Is(err, registry.ErrLockTimeout) {
		t.Errorf("Put that waited too long = %v, want ErrLockTimeout", err)
	}
	<-e.writing
	if rev, err := put("d"); err != nil || rev != 4 {
		t.Errorf("Put = %d, %v, want revision 4", rev, err)
	}
}
