package registry_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/machreg/machreg/registry"
)

// never is a poll interval that no test lives to see: what arrives is by event.
const never = 24 * time.Hour

// needEvents skips a test where the operating system reports no changes.
func needEvents(t testing.TB, r *registry.MachineRegistry) {
	t.Helper()
	if mode := r.Stats().Changes; mode.Name != registry.ModeWatch {
		t.Skipf("NOT TESTED: no file-system events here: %v", mode.Err)
	}
}

// revised waits until plain reads see revision rev.
func revised(t testing.TB, r *registry.MachineRegistry, rev registry.Revision) {
	t.Helper()
	eventually(t, fmt.Sprintf("revision %d arrives", rev), func() bool { return r.Revision() >= rev })
}

// A change of the directory's own attributes is not the loss of the directory.
func TestWatchSurvivesChmodOfDirectory(t *testing.T) {
	path := newPath(t)
	writer := open(t, path, nil)
	r := open(t, path, &registry.Options{PollInterval: never, ReadOnly: true})
	needEvents(t, r)
	if err := os.Chmod(filepath.Dir(path), 0o711); err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	if err := os.Chtimes(filepath.Dir(path), now, now); err != nil {
		t.Fatal(err)
	}
	revised(t, r, add(t, writer, "a"))
	if mode := r.Stats().Changes; mode.Name != registry.ModeWatch || !mode.Since.IsZero() {
		t.Errorf("Stats().Changes = %+v, want a watch since Open", mode)
	}
	if err := r.Health(); err != nil {
		t.Errorf("Health() = %v", err)
	}
}

// The directory is deleted or moved away and made again. Readers keep the last
// good revision, and say what is wrong until it is right again.
func TestDirectoryMadeAgain(t *testing.T) {
	for _, gone := range []struct {
		name string
		take func(dir string) error
	}{
		{"deleted", removeAll},
		{"moved", func(dir string) error { return os.Rename(dir, dir+".old") }},
	} {
		t.Run(gone.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "town")
			if err := os.Mkdir(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(dir, "machines.json")
			r := open(t, path, &registry.Options{PollInterval: 10 * time.Millisecond})
			needEvents(t, r)
			before := add(t, r, "a", "b")
			good := mustRead(t, path)
			if err := gone.take(dir); err != nil {
				t.Fatal(err)
			}
			eventually(t, "Health reports file and changes", func() bool {
				return problem(r.Health(), "file") != nil && problem(r.Health(), "changes") != nil
			})
			if err := problem(r.Health(), "file").Err; !errors.Is(err, registry.ErrMissing) {
				t.Errorf("Health() says of the file %v, want ErrMissing", err)
			}
			if m, err := r.Get("a"); err != nil || m != machineOf("a") || r.Revision() != before {
				t.Errorf("Get = %v, %v at revision %d, want the last good revision %d", m, err, r.Revision(), before)
			}
			if _, err := r.Latest(t.Context()); !errors.Is(err, registry.ErrMissing) {
				t.Errorf("Latest: %v, want ErrMissing", err)
			}
			if err := os.MkdirAll(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			mustWrite(t, path, string(good))
			eventually(t, "Health is good again", func() bool { return r.Health() == nil })
			if mode := r.Stats().Changes; mode.Name != registry.ModeWatch || mode.Since.IsZero() {
				t.Errorf("Stats().Changes = %+v, want a watch since a moment ago", mode)
			}
			// The new watch works, and it is one of the new directory.
			other := open(t, path, nil)
			rev := add(t, other, "c")
			if snap, err := r.AtLeast(t.Context(), rev); err != nil || !snap.Holds("c") || !snap.Holds("a") {
				t.Errorf("AtLeast(%d) = %v, %v", rev, snap, err)
			}
			if rev <= before {
				t.Errorf("the first write after is revision %d, not above %d", rev, before)
			}
		})
	}
}

// removeAll deletes a directory in which a live handle may be looking after its
// page at this moment.
func removeAll(dir string) (err error) {
	for range 1000 {
		if err = os.RemoveAll(dir); !errors.Is(err, syscall.ENOTEMPTY) {
			break
		}
	}
	return err
}

// problem is what Health says of one part, or nil.
func problem(err error, part string) *registry.Problem {
	h, ok := errors.AsType[*registry.HealthError](err)
	if !ok {
		return nil
	}
	for i := range h.Problems {
		if h.Problems[i].Part == part {
			return &h.Problems[i]
		}
	}
	return nil
}

// takeEvents makes every watch fail until the returned function is called.
func takeEvents(t testing.TB, cause error) (give func()) {
	t.Helper()
	var given atomic.Bool
	t.Cleanup(registry.ReplaceEvents(func() (*fsnotify.Watcher, error) {
		if given.Load() {
			return fsnotify.NewWatcher()
		}
		return nil, cause
	}))
	return func() { given.Store(true) }
}

// Without any file-system events the registry opens, polls, says so, and
// watches as soon as it can.
func TestNoEventsAtOpen(t *testing.T) {
	cause := errors.New("no events today")
	give := takeEvents(t, cause)
	path := newPath(t)
	writer := open(t, path, &registry.Options{Refresh: registry.RefreshNever})
	r := open(t, path, &registry.Options{PollInterval: 5 * time.Millisecond})
	p := problem(r.Health(), "changes")
	if p == nil || !errors.Is(p.Err, cause) || r.Stats().Changes.Name != registry.ModePoll {
		t.Fatalf("Health() = %v, Stats().Changes = %+v; want polling", r.Health(), r.Stats().Changes)
	}
	changes := steps(t, r.Watch(t.Context()))
	add(t, writer, "a")
	if c := changes(); len(c.Added) != 1 || c.Added[0].Name != "a" {
		t.Errorf("polling yields %+v", c)
	}
	give()
	eventually(t, "a watch", func() bool { return r.Health() == nil })
	if mode := r.Stats().Changes; mode.Name != registry.ModeWatch || mode.Since.IsZero() {
		t.Errorf("Stats().Changes = %+v, want a watch since a moment ago", mode)
	}
}
