package registry_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"sync"
	"testing"

	"github.com/machreg/machreg/registry"
)

// acks says which revision each acknowledged add was given.
type acks struct {
	mu  sync.Mutex
	got map[string]registry.Revision
}

func (a *acks) note(t testing.TB, name string, rev registry.Revision) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.got == nil {
		a.got = make(map[string]registry.Revision)
	}
	if old, ok := a.got[name]; ok {
		t.Errorf("add %q was acknowledged twice: %d and %d", name, old, rev)
	}
	a.got[name] = rev
}

// check demands that the registry at path, which nothing but adds of different
// machines has written, holds every acknowledged one and no other, and that
// they were given the revisions from 1 on, each once.
func (a *acks) check(t testing.TB, path string, want int) {
	t.Helper()
	if len(a.got) != want {
		t.Errorf("%d adds acknowledged, want %d", len(a.got), want)
	}
	names := make(map[registry.Revision]string)
	for name, rev := range a.got {
		if other, ok := names[rev]; ok || rev < 1 || int(rev) > want {
			t.Errorf("%q got revision %d of %d adds, as did %q", name, rev, want, other)
		}
		names[rev] = name
	}
	raw := mustParse(t, path)
	if err := raw.addsOnly(); err != nil {
		t.Error(err)
	}
	fresh := open(t, path, nil)
	if fresh.Revision() != registry.Revision(want) || raw.Revision != uint64(want) {
		t.Errorf("after %d adds a fresh handle is at revision %d, the file at %d", want, fresh.Revision(), raw.Revision)
	}
	for name := range a.got {
		if _, ok := raw.Machines[name]; !ok {
			t.Errorf("acknowledged %q is not in the file", name)
		}
		if m, err := fresh.Get(name); err != nil || m != machineOf(name) {
			t.Errorf("fresh handle: Get(%q) = %+v, %v", name, m, err)
		}
	}
	if got := len(fresh.List()); got != want+1 {
		t.Errorf("fresh handle lists %d machines, want %d and local", got, want)
	}
}

// addsOnly is an error unless the file is one whole revision of a registry to
// which machines have been added, one a revision.
func (raw rawFile) addsOnly() error {
	for name, m := range raw.Machines {
		if err := sameMachine(name, m); err != nil {
			return err
		}
	}
	if n := len(raw.Machines) - 1; uint64(n) != raw.Revision {
		return fmt.Errorf("revision %d holds %d added machines", raw.Revision, n)
	}
	return nil
}

// poll reads the file again and again, as any program may, and demands that
// every content is valid and a whole revision, none older than the one before.
// stop returns after one more look.
func poll(t testing.TB, path string, whole func(rawFile) error) (stop func()) {
	end := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		var polls, contents int
		var last rawFile
		var before string
		for ending := false; ; polls++ {
			if ending {
				t.Logf("%d polls found %d contents, the last at revision %d", polls, contents, last.Revision)
				return
			}
			select {
			case <-end:
				ending = true
			default:
			}
			data, err := readSharing(path)
			if errors.Is(err, fs.ErrNotExist) && contents == 0 {
				continue
			}
			if err != nil {
				t.Errorf("poll: %v", err)
				return
			}
			if string(data) == before {
				continue
			}
			before = string(data)
			raw, err := parseRaw(data)
			if err == nil {
				err = whole(raw)
			}
			if err != nil {
				t.Errorf("poll: %v", err)
				return
			}
			if raw.Revision <= last.Revision {
				t.Errorf("poll: revision %d after %d", raw.Revision, last.Revision)
				return
			}
			last = raw
			contents++
		}
	})
	return sync.OnceFunc(func() {
		close(end)
		wg.Wait()
	})
}

// roleAdd adds machines from GOROUTINES goroutines, ADDS each, under names that
// begin with PREFIX, and reports every acknowledged one.
var roleAdd = program("add", func(args []string) error {
	path, prefix := args[0], args[1]
	goroutines, _ := strconv.Atoi(args[2])
	adds, _ := strconv.Atoi(args[3])
	r, err := registry.OpenMachines(path, nil)
	if err != nil {
		return err
	}
	fmt.Println("ready")
	if err := awaitParent(); err != nil {
		return err
	}
	out := bufio.NewWriter(os.Stdout)
	var mu sync.Mutex // guards out and errs
	var errs []error
	var wg sync.WaitGroup
	for g := range goroutines {
		wg.Go(func() {
			for i := range adds {
				name := fmt.Sprintf("%s-%d-%d", prefix, g, i)
				rev, err := r.Add(context.Background(), machineOf(name))
				mu.Lock()
				if err != nil {
					errs = append(errs, err)
				} else {
					fmt.Fprintf(out, "added %s %d\n", name, rev)
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	s := r.Stats()
	fmt.Fprintf(out, "done %d %d %v\n", s.Commits, s.LargestGroup, s.LockWait)
	return errors.Join(append(errs, out.Flush(), r.Close())...)
})
