package registry_test

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/machreg/machreg/filelock"
	"github.com/machreg/machreg/registry"
)

func TestMachineRegistryConcurrentAdd(t *testing.T) {
	const handles, goroutines = 3, 16
	adds := long(10)
	path := newPath(t)
	stop := poll(t, path, rawFile.addsOnly)
	defer stop()
	var acked acks
	var wg sync.WaitGroup
	for h := range handles {
		r := open(t, path, nil)
		for g := range goroutines {
			wg.Go(func() {
				for i := range adds {
					name := fmt.Sprintf("m-%d-%d-%d", h, g, i)
					rev, err := r.Add(t.Context(), machineOf(name))
					if err != nil {
						t.Error(err)
						return
					}
					acked.note(t, name, rev)
					if m, err := r.Get(name); err != nil || m != machineOf(name) {
						t.Errorf("Get(%q) after its add = %+v, %v", name, m, err)
					}
					if at := r.Revision(); at < rev {
						t.Errorf("handle is at revision %d after an add at %d", at, rev)
					}
				}
			})
		}
	}
	wg.Wait()
	stop()
	acked.check(t, path, handles*goroutines*adds)
}

func TestMachineRegistryConcurrentReadWrite(t *testing.T) {
	const writers, readers = 6, 4
	writes := long(25)
	path := newPath(t)
	handles := []*registry.MachineRegistry{open(t, path, nil), open(t, path, nil)}
	for w := range writers {
		name := fmt.Sprintf("w-%d", w)
		if _, err := handles[0].Add(t.Context(), generation(name, 0)); err != nil {
			t.Fatal(err)
		}
	}
	if err := handles[1].Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	var reading, writing sync.WaitGroup
	for i := range readers {
		reading.Go(func() { readGenerations(t, handles[i%len(handles)], writers, done) })
	}
	for w := range writers {
		writing.Go(func() {
			r, other := handles[w%2], handles[1-w%2]
			name := fmt.Sprintf("w-%d", w)
			for n := 1; n <= writes; n++ {
				want := generation(name, n)
				rev, err := r.Add(t.Context(), want)
				if err != nil {
					t.Error(err)
					return
				}
				if m, err := r.Get(name); err != nil || m != want {
					t.Errorf("own handle: Get(%q) = %+v, %v, want %+v", name, m, err, want)
				}
				snap, err := other.AtLeast(t.Context(), rev)
				if err != nil {
					t.Error(err)
					return
				}
				if m, ok := snap.Get(name); !ok || m != want {
					t.Errorf("other handle at revision %d: %q is %+v, want %+v", snap.Revision(), name, m, want)
				}
			}
		})
	}
	writing.Wait()
	close(done)
	reading.Wait()
	if got, want := mustParse(t, path).Revision, uint64(writers*(writes+1)); got != want {
		t.Errorf("file is at revision %d after %d writes", got, want)
	}
}

func TestMachineRegistryConcurrentRemove(t *testing.T) {
	const handles, goroutines = 2, 6
	machines := long(30)
	path := newPath(t)
	var names []string
	seeds := open(t, path, nil)
	if _, err := seeds.Update(t.Context(), func(tx *registry.Tx[registry.Machine]) error {
		for i := range machines {
			names = append(names, fmt.Sprintf("m-%d", i))
			if err := tx.Put(names[i], machineOf(names[i])); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	var mu sync.Mutex
	removed := make(map[string]registry.Revision)
	var wg sync.WaitGroup
	for h := range handles {
		r := open(t, path, nil)
		for g := range goroutines {
			order := rand.New(rand.NewPCG(seed, uint64(h*goroutines+g))).Perm(machines)
			wg.Go(func() {
				for _, i := range order {
					rev, err := r.Remove(t.Context(), names[i])
					if _, gerr := r.Get(names[i]); !errors.Is(gerr, registry.ErrNotFound) {
						t.Errorf("Get(%q) after Remove = %v, want ErrNotFound", names[i], gerr)
					}
					if errors.Is(err, registry.ErrNotFound) {
						continue
					}
					if err != nil {
						t.Error(err)
						return
					}
					mu.Lock()
					if old, ok := removed[names[i]]; ok {
						t.Errorf("%q was removed twice: at revision %d and %d", names[i], old, rev)
					}
					removed[names[i]] = rev
					mu.Unlock()
				}
			})
		}
	}
	wg.Wait()
	revs := make(map[registry.Revision]bool)
	for rev := range maps.Values(removed) {
		revs[rev] = true
	}
	if len(removed) != machines || len(revs) != machines {
		t.Errorf("%d machines removed at %d revisions, want %d", len(removed), len(revs), machines)
	}
	raw := mustParse(t, path)
	if len(raw.Machines) != 1 || raw.Revision != uint64(machines+1) {
		t.Errorf("file holds %v at revision %d, want local alone at %d", raw.Machines, raw.Revision, machines+1)
	}
	if _, err := seeds.Remove(t.Context(), registry.LocalName); !errors.Is(err, registry.ErrBuiltin) {
		t.Errorf("Remove(local) = %v, want ErrBuiltin", err)
	}
}

func TestMachineRegistryMultiProcess(t *testing.T) {
	for _, c := range []struct{ processes, goroutines, adds int }{
		{8, 4, long(50)},
		{4, 64, long(20)},
	} {
		t.Run(fmt.Sprintf("%dx%dx%d", c.processes, c.goroutines, c.adds), func(t *testing.T) {
			path := newPath(t)
			stop := poll(t, path, rawFile.addsOnly)
			defer stop()
			var children []*child
			for i := range c.processes {
				p := startChild(t, roleAdd, path, fmt.Sprintf("p%d", i), strconv.Itoa(c.goroutines), strconv.Itoa(c.adds))
				p.read("ready")
				children = append(children, p)
			}
			start := time.Now()
			for _, p := range children {
				p.proceed()
			}
			var acked acks
			var wg sync.WaitGroup
			commits := make([]int, len(children))
			for i, p := range children {
				wg.Go(func() {
					for line, ok := p.line(); ok; line, ok = p.line() {
						f := strings.Fields(line)
						n, _ := strconv.Atoi(f[len(f)-1])
						if f[0] == "added" {
							acked.note(t, f[1], registry.Revision(n))
							continue
						}
						commits[i], _ = strconv.Atoi(f[1])
						t.Logf("process %d: %s commits, largest group %s, waited %s for the lock", i, f[1], f[2], f[3])
					}
				})
			}
			wg.Wait()
			elapsed := time.Since(start)
			for _, p := range children {
				p.wait() // an add that failed, by a timeout say, would be an error here
			}
			stop()
			total, files := c.processes*c.goroutines*c.adds, 0
			for _, n := range commits {
				files += n
			}
			t.Logf("%d adds in %v (%.0f a second) by %d file updates", total, elapsed.Round(time.Millisecond), float64(total)/elapsed.Seconds(), files)
			acked.check(t, path, total)
		})
	}
}

func TestMachineRegistryAtomicWrite(t *testing.T) {
	path := newPath(t)
	whole := func(raw rawFile) error {
		for name, m := range raw.Machines {
			if name == registry.LocalName {
				continue
			}
			if n, err := generationOf(m); err != nil || uint64(n) != raw.Revision || len(raw.Machines) != generations+1 {
				return fmt.Errorf("revision %d of %d machines holds generation %d of %q: %v", raw.Revision, len(raw.Machines), n, name, err)
			}
		}
		return nil
	}
	stop := poll(t, path, whole)
	defer stop()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	for range long(12) {
		// Killed at whatever it is doing after it reported a few.
		p := startChild(t, roleGenerate, path)
		var acked int
		for range 1 + rng.IntN(6) {
			acked, _ = strconv.Atoi(p.read("generation"))
		}
		for _, line := range p.killAndRead() {
			acked, _ = strconv.Atoi(strings.TrimPrefix(line, "generation "))
		}
		raw := mustParse(t, path)
		if err := whole(raw); err != nil {
			t.Fatal(err)
		}
		// One more may have been written and not reported.
		if raw.Revision < uint64(acked) || raw.Revision > uint64(acked)+1 {
			t.Fatalf("file is at revision %d after %d was acknowledged and its writer killed", raw.Revision, acked)
		}
	}
	stop()
	add(t, open(t, path, nil), "last")
	noTemporaries(t, filepath.Dir(path))
}

func TestMachineRegistryLockCleanup(t *testing.T) {
	locks := func(path string) (found []string) {
		for _, name := range list(t, filepath.Dir(path)) {
			if strings.Contains(name, ".lock") {
				found = append(found, name)
			}
		}
		return found
	}
	t.Run("removed by the last to close", func(t *testing.T) {
		path := newPath(t)
		for round := range long(10) {
			var wg sync.WaitGroup
			var left []*registry.MachineRegistry
			for i := range 4 {
				r, err := registry.OpenMachines(path, nil)
				if err != nil {
					t.Fatal(err)
				}
				add(t, r, fmt.Sprintf("m-%d-%d", round, i))
				left = append(left, r)
			}
			if len(locks(path)) == 0 {
				t.Fatal("no lock file while the registry is open")
			}
			for _, r := range left {
				wg.Go(func() {
					if err := r.Close(); err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			if found := locks(path); len(found) > 0 {
				t.Fatalf("lock files %q are left after the last Close", found)
			}
		}
	})
	t.Run("left by a killed process", func(t *testing.T) {
		path := newPath(t)
		p := startChild(t, roleGenerate, path)
		p.read("generation")
		p.kill()
		if len(locks(path)) == 0 {
			t.Fatal("a killed process left no lock file")
		}
		dir := filepath.Join(filepath.Dir(path), ".gastown", "locks")
		removed, err := filelock.CleanStaleLocks(dir)
		if err != nil || len(removed) != 1 {
			t.Errorf("CleanStaleLocks(%q) = %q, %v, want one lock", dir, removed, err)
		}
		if found := locks(path); len(found) > 0 {
			t.Errorf("lock files %q are left after cleaning", found)
		}
		add(t, open(t, path, nil), "next")
	})
	t.Run("held locks are left alone", func(t *testing.T) {
		path := newPath(t)
		p := startChild(t, roleHold, path)
		p.read("held")
		dir := filepath.Join(filepath.Dir(path), ".gastown", "locks")
		removed, err := filelock.CleanStaleLocks(dir)
		if err != nil || len(removed) != 0 {
			t.Errorf("CleanStaleLocks(%q) = %q, %v, want none", dir, removed, err)
		}
		p.proceed()
		p.wait()
	})
}
