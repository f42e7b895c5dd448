package registry_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/machreg/machreg/registry"
)

// roleWake reports every change with the time at which it arrived.
var roleWake = program("wake", func(args []string) error {
	r, err := registry.OpenMachines(args[0], &registry.Options{ReadOnly: true})
	if err != nil {
		return err
	}
	defer r.Close()
	changes := r.Watch(context.Background())
	fmt.Println("watching", r.Stats().Changes.Name)
	for c, err := range changes {
		if err != nil {
			return err
		}
		fmt.Println("saw", c.To, time.Now().UnixNano())
	}
	return nil
})

// TestWakeLatency measures the time from a commit's return in one process to
// the change arriving in the Watch of others. It is negative where the change
// was there first: the writer still syncs the directory. It demands only that
// every change arrives at every watcher, one by one; the figures are for the
// reader.
func TestWakeLatency(t *testing.T) {
	commits := 20
	if longRun {
		commits = 500
	}
	places := []struct{ name, dir string }{{"temporary directory", t.TempDir()}}
	if dir, err := os.MkdirTemp("/dev/shm", "machreg"); err == nil {
		t.Cleanup(func() { os.RemoveAll(dir) })
		places = append(places, struct{ name, dir string }{"/dev/shm", dir})
	} else {
		t.Logf("NOT MEASURED: no /dev/shm: %v", err)
	}
	for _, place := range places {
		for _, watchers := range []int{1, 20} {
			t.Run(fmt.Sprintf("%s/watchers=%d", place.name, watchers), func(t *testing.T) {
				path := filepath.Join(place.dir, fmt.Sprintf("machines-%d.json", watchers))
				r := open(t, path, nil)
				var children []*child
				for range watchers {
					c := startChild(t, roleWake, path)
					c.read("watching")
					children = append(children, c)
				}
				var waits []time.Duration
				for i := range commits {
					rev := add(t, r, fmt.Sprintf("m-%d", i))
					returned := time.Now().UnixNano()
					for _, c := range children {
						var seen registry.Revision
						var at int64
						if _, err := fmt.Sscan(c.read("saw"), &seen, &at); err != nil || seen != rev {
							t.Fatalf("a watcher saw revision %d, %v, want %d", seen, err, rev)
						}
						waits = append(waits, time.Duration(at-returned))
					}
				}
				logWaits(t, commits, waits)
			})
		}
	}
}

// TestWakeLatencyOfMounts measures the time from the swap of a configuration
// mount's link to the change arriving in Watch. It demands only that every
// content arrives at every watcher, one by one.
func TestWakeLatencyOfMounts(t *testing.T) {
	swaps := 20
	if longRun {
		swaps = 500
	}
	for _, keep := range []bool{false, true} {
		for _, watchers := range []int{1, 20} {
			t.Run(fmt.Sprintf("old directory kept=%t/watchers=%d", keep, watchers), func(t *testing.T) {
				original := newPath(t)
				source := open(t, original, nil)
				add(t, source, "first")
				m := newConfigMount(t, mustRead(t, original))
				m.keep = keep
				var children []*child
				for range watchers {
					c := startChild(t, roleWake, m.path())
					c.read("watching")
					children = append(children, c)
				}
				var waits []time.Duration
				for i := range swaps {
					rev := add(t, source, fmt.Sprintf("m-%d", i))
					m.put(t, mustRead(t, original))
					for _, c := range children {
						var seen registry.Revision
						var at int64
						if _, err := fmt.Sscan(c.read("saw"), &seen, &at); err != nil || seen != rev {
							t.Fatalf("a watcher saw revision %d, %v, want %d", seen, err, rev)
						}
						waits = append(waits, time.Duration(at-m.swapped.UnixNano()))
					}
				}
				logWaits(t, swaps, waits)
			})
		}
	}
}

func logWaits(t *testing.T, changes int, waits []time.Duration) {
	t.Helper()
	slices.Sort(waits)
	at := func(percent int) time.Duration { return waits[(len(waits)-1)*percent/100] }
	t.Logf("%d changes, %d arrivals: p50 %v, p99 %v, max %v", changes, len(waits), at(50), at(99), at(100))
}
