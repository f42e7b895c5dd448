package registry_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fsnotify/fsnotify"
	"golang.org/x/sys/unix"

	"github.com/machreg/machreg/registry"
)

// roleExhaust runs in a user namespace of its own, where it may have limit
// inotify instances. With all of them taken, Open succeeds, changes arrive by
// polling, and Health says so until there is an instance again.
var roleExhaust = program("exhaust", func(args []string) error {
	const limit = 4
	if err := os.WriteFile("/proc/sys/user/max_inotify_instances", []byte(strconv.Itoa(limit)), 0); err != nil {
		return fmt.Errorf("cannot set the limit: %w", err)
	}
	var taken []int
	for range limit {
		fd, err := unix.InotifyInit1(unix.IN_CLOEXEC)
		if err != nil {
			return err
		}
		taken = append(taken, fd)
	}
	r, err := registry.OpenMachines(args[0], &registry.Options{PollInterval: 5 * time.Millisecond, ReadOnly: true})
	if err != nil {
		return err
	}
	defer r.Close()
	if p := problem(r.Health(), "changes"); p == nil || !errors.Is(p.Err, syscall.EMFILE) || r.Stats().Changes.Name != registry.ModePoll {
		return fmt.Errorf("Health() = %v with every inotify instance taken, want polling", r.Health())
	}
	changes := r.Watch(context.Background()) // of everything after this
	fmt.Println("polling")
	for c, err := range changes {
		if err != nil || len(c.Added) != 1 {
			return fmt.Errorf("polling yields %+v, %v", c, err)
		}
		fmt.Println("polled", c.Added[0].Name)
		break
	}
	if err := unix.Close(taken[0]); err != nil {
		return err
	}
	for deadline := time.Now().Add(30 * time.Second); r.Health() != nil; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			return fmt.Errorf("Health() = %v with an inotify instance to be had", r.Health())
		}
	}
	fmt.Println("healthy", r.Stats().Changes.Name)
	return nil
})

func TestInotifyExhausted(t *testing.T) {
	path := newPath(t)
	writer := open(t, path, &registry.Options{Refresh: registry.RefreshNever})
	add(t, writer, "a")
	cmd := childCommand(t, roleExhaust, path)
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
	}
	// Whether that is allowed is tried with a child that does nothing.
	probe := childCommand(t, roleNothing)
	probe.SysProcAttr = cmd.SysProcAttr
	if err := probe.Run(); err != nil {
		t.Skipf("NOT TESTED: no user namespace for a limit of its own: %v", err)
	}
	c := startCommand(t, cmd)
	c.read("polling")
	add(t, writer, "b")
	if name := c.read("polled"); name != "b" {
		t.Errorf("polling yields %q, want b", name)
	}
	if mode := c.read("healthy"); mode != registry.ModeWatch {
		t.Errorf("healthy in mode %q, want %q", mode, registry.ModeWatch)
	}
	c.wait()
}

var roleNothing = program("nothing", func([]string) error { return nil })

// resources are what a handle has open.
type resources struct{ goroutines, descriptors, watches, mappings int }

func (a resources) over(b resources) bool {
	return a.goroutines > b.goroutines || a.descriptors > b.descriptors || a.watches > b.watches || a.mappings > b.mappings
}

// resourcesNow counts, of mappings, those below dir: other tests may have left
// some to the collector.
func resourcesNow(t testing.TB, dir string) (n resources) {
	t.Helper()
	runtime.GC() // mappings end with what refers to them
	n.goroutines = runtime.NumGoroutine()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	n.descriptors = len(entries)
	for _, e := range entries {
		target, _ := os.Readlink(filepath.Join("/proc/self/fd", e.Name()))
		if target == "anon_inode:inotify" {
			info, _ := os.ReadFile(filepath.Join("/proc/self/fdinfo", e.Name()))
			n.watches += strings.Count(string(info), "inotify wd:")
		}
	}
	maps, err := os.Open("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	defer maps.Close()
	for lines := bufio.NewScanner(maps); lines.Scan(); {
		if strings.Contains(lines.Text(), dir) {
			n.mappings++
		}
	}
	return n
}

// Opening, watching and closing leaves nothing behind.
func TestCyclesLeaveNothing(t *testing.T) {
	path := newPath(t)
	writer := open(t, path, &registry.Options{Sync: registry.SyncNone, Refresh: registry.RefreshNever})
	add(t, writer, "a")
	cycle := func(i int) {
		t.Helper()
		r, err := registry.OpenMachines(path, nil)
		if err != nil {
			t.Fatal(err)
		}
		next, stop := iter.Pull2(r.Watch(t.Context(), registry.WithInitial()))
		defer stop()
		next()
		if i%10 == 0 {
			add(t, writer, fmt.Sprintf("m-%d", i))
			next()
		}
		if _, err := r.Latest(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
	cycle(-10)
	before := resourcesNow(t, filepath.Dir(path))
	cycles := long(100)
	for i := range cycles {
		cycle(i)
	}
	var after resources
	eventually(t, "everything is let go", func() bool {
		after = resourcesNow(t, filepath.Dir(path))
		return !after.over(before)
	})
	t.Logf("before: %+v, after %d cycles: %+v", before, cycles, after)
}

// An overflow of the event queue loses events; the file is looked at instead.
func TestEventOverflow(t *testing.T) {
	events := make(chan *fsnotify.Watcher, 1)
	restore := registry.ReplaceEvents(func() (*fsnotify.Watcher, error) {
		w, err := fsnotify.NewWatcher()
		if err == nil {
			events <- w
		}
		return w, err
	})
	t.Cleanup(restore)
	path := newPath(t)
	writer := open(t, path, &registry.Options{Refresh: registry.RefreshNever})
	r := open(t, path, &registry.Options{PollInterval: never})
	w := <-events
	// Deaf from now on: only the report of the overflow says that there is
	// something to see.
	if err := w.Remove(filepath.Dir(path)); err != nil {
		t.Fatal(err)
	}
	rev := add(t, writer, "a")
	w.Errors <- fsnotify.ErrEventOverflow
	revised(t, r, rev)
}
