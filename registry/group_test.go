package registry_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/machreg/machreg/internal/vfs"
	"github.com/machreg/machreg/internal/vfs/errorfs"
	"github.com/machreg/machreg/registry"
)

// line puts n adds in line behind a commit that is under way, in order, and
// returns their outcomes.
func line(t testing.TB, r *registry.MachineRegistry, n int, ctx func(i int) context.Context) []<-chan error {
	t.Helper()
	var ended []<-chan error
	for i := range n {
		out := make(chan error, 1)
		go func() {
			rev, err := r.Add(ctx(i), machineOf(lineName(i)))
			if err == nil && r.Revision() < rev {
				err = fmt.Errorf("handle is at revision %d after an add at %d", r.Revision(), rev)
			}
			out <- err
		}()
		awaitLine(r.Registry, i+1)
		ended = append(ended, out)
	}
	return ended
}

func lineName(i int) string { return fmt.Sprintf("line-%03d", i) }

func always(t testing.TB) func(int) context.Context {
	return func(int) context.Context { return t.Context() }
}

func TestGroupSharesOneFileUpdate(t *testing.T) {
	for _, c := range []struct{ writes, limit, commits int }{
		{64, 0, 1},
		{64, 64, 1},
		{64, 10, 7},
		{5, 1, 5},
	} {
		t.Run(fmt.Sprintf("%d by %d", c.writes, c.limit), func(t *testing.T) {
			path := newPath(t)
			disk := errorfs.Wrap(vfs.OS)
			r := open(t, path, &registry.Options{GroupLimit: c.limit, FS: disk})
			free := occupy(t, r)
			ended := line(t, r, c.writes, always(t))
			disk.Record()
			before := r.Stats()
			free()
			for i, out := range ended {
				if err := <-out; err != nil {
					t.Errorf("%s: %v", lineName(i), err)
				}
			}
			after := r.Stats()
			// One more of each is the occupying write.
			if got := after.Commits - before.Commits; got != uint64(c.commits)+1 {
				t.Errorf("stats count %d commits, want %d", got, c.commits+1)
			}
			if got := count(disk.Trace(), errorfs.Rename); got != c.commits+1 {
				t.Errorf("%d file updates, want %d", got, c.commits+1)
			}
			if got := after.Writes - before.Writes; got != uint64(c.writes)+1 {
				t.Errorf("stats count %d writes, want %d", got, c.writes+1)
			}
			if raw := mustParse(t, path); raw.Revision != uint64(after.Revision) || len(raw.Machines) != c.writes+3 {
				t.Errorf("file holds %d machines at revision %d, want %d at %d", len(raw.Machines), raw.Revision, c.writes+3, after.Revision)
			}
		})
	}
}

func TestGroupKeepsOrder(t *testing.T) {
	r := open(t, newPath(t), nil)
	free := occupy(t, r)
	at := r.Revision()
	var revs [20]registry.Revision
	var wg sync.WaitGroup
	for i := range revs {
		wg.Go(func() {
			var err error
			if revs[i], err = r.Add(t.Context(), machineOf(lineName(i))); err != nil {
				t.Error(err)
			}
		})
		awaitLine(r.Registry, i+1)
	}
	free()
	wg.Wait()
	for i, rev := range revs {
		if want := at + 2 + registry.Revision(i); rev != want {
			t.Errorf("write %d in line got revision %d, want %d", i, rev, want)
		}
	}
}

// Each write of a group ends as it would have ended alone, after those before
// it in line.
func TestGroupEachItsOwn(t *testing.T) {
	path := newPath(t)
	r := open(t, path, nil)
	add(t, r, "a", "b")
	free := occupy(t, r)
	at := r.Revision() + 1 // when the occupying write is done
	ctx := t.Context()
	steps := []struct {
		what string
		do   func() (registry.Revision, error)
		rev  registry.Revision // 0: refused
		err  error
	}{
		{"add c if absent", func() (registry.Revision, error) { return r.Add(ctx, machineOf("c"), registry.IfAbsent()) }, at + 1, nil},
		{"add c again if absent", func() (registry.Revision, error) { return r.Add(ctx, machineOf("c"), registry.IfAbsent()) }, 0, registry.ErrExists},
		{"add c as it is", func() (registry.Revision, error) { return r.Add(ctx, machineOf("c")) }, at + 1, nil},
		{"remove a", func() (registry.Revision, error) { return r.Remove(ctx, "a") }, at + 2, nil},
		{"remove a again", func() (registry.Revision, error) { return r.Remove(ctx, "a") }, 0, registry.ErrNotFound},
		{"add a if absent", func() (registry.Revision, error) { return r.Add(ctx, machineOf("a"), registry.IfAbsent()) }, at + 3, nil},
		{"remove b at an old revision", func() (registry.Revision, error) { return r.Remove(ctx, "b", registry.IfRevision(at)) }, 0, registry.ErrConflict},
		{"remove b at this revision", func() (registry.Revision, error) { return r.Remove(ctx, "b", registry.IfRevision(at+3)) }, at + 4, nil},
	}
	type result struct {
		rev registry.Revision
		err error
	}
	var results []chan result
	for i, s := range steps {
		out := make(chan result, 1)
		go func() {
			rev, err := s.do()
			out <- result{rev, err}
		}()
		awaitLine(r.Registry, i+1)
		results = append(results, out)
	}
	commits := r.Stats().Commits
	free()
	for i, s := range steps {
		if got := <-results[i]; got.rev != s.rev || !errors.Is(got.err, s.err) {
			t.Errorf("%s = %d, %v, want %d, %v", s.what, got.rev, got.err, s.rev, s.err)
		}
	}
	if got := r.Stats().Commits - commits; got != 2 {
		t.Errorf("%d commits, want the occupying one and one for all", got)
	}
	raw := mustParse(t, path)
	_, a := raw.Machines["a"]
	_, b := raw.Machines["b"]
	if _, c := raw.Machines["c"]; !a || b || !c || raw.Revision != uint64(at+4) {
		t.Errorf("file at revision %d holds a: %t, b: %t, c: %t, want %d with a and c", raw.Revision, a, b, c, at+4)
	}
}

// If the file cannot be replaced, everybody in the group is told, those too
// whose own write was refused or changed nothing: what they were judged by was
// never published.
func TestGroupFailsTogether(t *testing.T) {
	path := newPath(t)
	disk := errorfs.Wrap(vfs.OS)
	r := open(t, path, &registry.Options{FS: disk})
	add(t, r, "a")
	free := occupy(t, r)
	ctx := t.Context()
	writes := []func() error{
		func() error { _, err := r.Add(ctx, machineOf("new")); return err },
		func() error { _, err := r.Add(ctx, machineOf("new"), registry.IfAbsent()); return err },
		func() error { _, err := r.Add(ctx, machineOf("new")); return err },
		func() error { _, err := r.Remove(ctx, "a"); return err },
		func() error { _, err := r.Remove(ctx, "absent"); return err },
	}
	var ended []chan error
	for i, write := range writes {
		out := make(chan error, 1)
		go func() { out <- write() }()
		awaitLine(r.Registry, i+1)
		ended = append(ended, out)
	}
	fault := disk.Inject(errorfs.Plan{At: 1, Match: isKind(errorfs.Rename), Fault: errorfs.Fail(syscall.EIO)})
	free()
	for i, out := range ended {
		if err := <-out; !errors.Is(err, syscall.EIO) || errors.Is(err, registry.ErrExists) || errors.Is(err, registry.ErrNotFound) {
			t.Errorf("write %d of a group that failed = %v, want the input/output error", i, err)
		}
	}
	if fault.Fired() != 1 {
		t.Errorf("fault fired %d times, want once", fault.Fired())
	}
	if got := r.Stats().Failed; got != uint64(len(writes)) {
		t.Errorf("stats count %d failed writes, want %d", got, len(writes))
	}
	raw := mustParse(t, path)
	if _, ok := raw.Machines["new"]; ok || raw.Revision != uint64(r.Revision()) {
		t.Errorf("file at revision %d holds the failed write: %t; handle is at %d", raw.Revision, ok, r.Revision())
	}
	if rev := add(t, r, "next"); uint64(rev) != raw.Revision+1 {
		t.Errorf("next add is revision %d, want %d", rev, raw.Revision+1)
	}
}

// Writers that give up before their commit begins leave no trace, and those
// that stay are not held up by them.
func TestGroupWithdrawals(t *testing.T) {
	path := newPath(t)
	r := open(t, path, nil)
	free := occupy(t, r)
	at := r.Revision()
	const n = 20
	contexts := make([]context.Context, n)
	cancels := make([]context.CancelFunc, n)
	for i := range n {
		contexts[i], cancels[i] = context.WithCancel(t.Context())
		defer cancels[i]()
	}
	ended := line(t, r, n, func(i int) context.Context { return contexts[i] })
	for i := 0; i < n; i += 2 {
		cancels[i]()
		if err := <-ended[i]; !errors.Is(err, context.Canceled) {
			t.Errorf("%s was cancelled and ended with %v", lineName(i), err)
		}
	}
	free()
	for i := 1; i < n; i += 2 {
		if err := <-ended[i]; err != nil {
			t.Errorf("%s: %v", lineName(i), err)
		}
	}
	raw := mustParse(t, path)
	for i := range n {
		if _, ok := raw.Machines[lineName(i)]; ok != (i%2 == 1) {
			t.Errorf("%s is in the file: %t", lineName(i), ok)
		}
	}
	if want := uint64(at) + 1 + n/2; raw.Revision != want {
		t.Errorf("file is at revision %d, want %d", raw.Revision, want)
	}
}

// When everybody has withdrawn the leader stops waiting for the lock, and a
// writer that comes at that moment is served all the same.
func TestLeaderGivesUpItsWait(t *testing.T) {
	path := newPath(t)
	holder, r := open(t, path, nil), open(t, path, nil)
	free := occupy(t, holder)
	for i := range long(50) {
		ctx, cancel := context.WithCancel(t.Context())
		out := make(chan error, 2)
		go func() { _, err := r.Add(ctx, machineOf("withdrawn")); out <- err }()
		awaitLine(r.Registry, 1)
		second, cancelSecond := context.WithCancel(t.Context())
		go func() { _, err := r.Add(second, machineOf("withdrawn too")); out <- err }()
		if i%2 == 0 {
			cancel()
			cancelSecond()
		} else {
			cancelSecond()
			cancel()
		}
		for range 2 {
			if err := <-out; !errors.Is(err, context.Canceled) {
				t.Fatalf("cancelled write ended with %v", err)
			}
		}
	}
	ended := line(t, r, 1, always(t))
	// Of this handle nobody is left, so that its Close has no leader to wait for
	// that waits, in turn, for an hour.
	idle, err := registry.OpenMachines(path, &registry.Options{LockTimeout: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	last := line(t, idle, 1, func(int) context.Context { return ctx })
	cancel()
	if err := <-last[0]; !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled write ended with %v", err)
	}
	if err := idle.Close(); err != nil {
		t.Error(err)
	}
	free()
	if err := <-ended[0]; err != nil {
		t.Error(err)
	}
	for _, name := range []string{"withdrawn", "withdrawn too"} {
		if _, ok := mustParse(t, path).Machines[name]; ok {
			t.Errorf("%q is in the file", name)
		}
	}
}

// Contexts that end at any moment of a write: what it returns is what is in the
// file.
func TestCancelledOrCommitted(t *testing.T) {
	path := newPath(t)
	handles := []*registry.MachineRegistry{open(t, path, nil), open(t, path, &registry.Options{GroupLimit: 3})}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	var mu sync.Mutex
	acked, gaveUp := make(map[string]registry.Revision), make(map[string]bool)
	var wg sync.WaitGroup
	for g := range 16 {
		rng := rand.New(rand.NewPCG(seed, uint64(g)))
		wg.Go(func() {
			for i := range long(40) {
				name := fmt.Sprintf("m-%d-%d", g, i)
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(rng.IntN(20_000))*time.Microsecond)
				rev, err := handles[g%2].Add(ctx, machineOf(name))
				cancel()
				mu.Lock()
				switch {
				case err == nil:
					acked[name] = rev
				case errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, registry.ErrInDoubt):
					gaveUp[name] = true
				default:
					t.Errorf("add %q: %v", name, err)
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	t.Logf("%d committed, %d gave up", len(acked), len(gaveUp))
	if len(acked) == 0 || len(gaveUp) == 0 {
		t.Error("nothing was told apart: want both commits and writes that gave up")
	}
	raw := mustParse(t, path)
	if err := raw.addsOnly(); err != nil {
		t.Error(err)
	}
	if len(raw.Machines) != len(acked)+1 {
		t.Errorf("file holds %d machines, want the %d acknowledged and local", len(raw.Machines), len(acked))
	}
	for name := range acked {
		if _, ok := raw.Machines[name]; !ok {
			t.Errorf("acknowledged %q is not in the file", name)
		}
	}
}
