package registry_test

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/machreg/machreg/internal/vfs"
	"github.com/machreg/machreg/internal/vfs/errorfs"
	"github.com/machreg/machreg/registry"
)

// state is what a failed write must leave as it was.
type state struct {
	revision registry.Revision
	machines []registry.Machine
	content  string
	info     os.FileInfo
}

func stateOf(t testing.TB, r *registry.MachineRegistry, path string) state {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return state{r.Revision(), r.List(), string(mustRead(t, path)), info}
}

// check demands that nothing has changed, in memory or in the file.
func (s state) check(t testing.TB, r *registry.MachineRegistry, path string) {
	t.Helper()
	now := stateOf(t, r, path)
	if now.revision != s.revision || len(now.machines) != len(s.machines) {
		t.Errorf("a failed write changed the registry: %d machines at revision %d, want %d at %d", len(now.machines), now.revision, len(s.machines), s.revision)
	}
	if now.content != s.content || !os.SameFile(now.info, s.info) || now.info.ModTime() != s.info.ModTime() {
		t.Errorf("a failed write changed the file to %q", now.content)
	}
}

// noTemporaries looks in a registry's directory and where its lock is.
func noTemporaries(t testing.TB, dir string) {
	t.Helper()
	for _, pattern := range []string{".*.tmp", filepath.Join(".gastown", "locks", ".*.tmp")} {
		left, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range left {
			t.Errorf("temporary file %q is left", name)
		}
	}
}

// Every operation of a write fails in turn, in every way it can. Before the
// rename nothing has changed, and the next write works.
func TestEveryStepOfAWriteFails(t *testing.T) {
	faults := map[string]errorfs.Fault{
		"fails":             errorfs.Fail(syscall.EIO),
		"done, but fails":   errorfs.FailAfter(syscall.EIO),
		"half, no space":    errorfs.Short(syscall.ENOSPC),
		"permission denied": errorfs.Fail(syscall.EACCES),
	}
	times := map[string]int{"half, no space": 2} // it is tried again once something was let go
	for how, fault := range faults {
		t.Run(how, func(t *testing.T) {
			path := newPath(t)
			disk := errorfs.Wrap(vfs.OS)
			r := open(t, path, &registry.Options{FS: disk, Refresh: registry.RefreshNever})
			add(t, r, "a", "b")
			fired, failed, want := 0, 0, 2
			for k := 0; ; k++ {
				before := stateOf(t, r, path)
				name := lineName(k)
				injected := disk.Inject(errorfs.Plan{At: k, Times: times[how], Fault: fault})
				disk.Record()
				rev, err := r.Add(t.Context(), machineOf(name))
				trace := disk.Trace()
				disk.Clear()
				if injected.Fired() == 0 {
					break // all of them have had their turn
				}
				fired++
				switch {
				case err == nil || errors.Is(err, registry.ErrNotDurable):
					// It did not matter, or was mended; or came after the rename.
					want++
					if int(rev) != want {
						t.Errorf("operation %d %s: revision %d, want %d", k, how, rev, want)
					}
					if err != nil && count(trace, errorfs.Rename) != 1 {
						t.Errorf("operation %d %s: %v without a rename", k, how, err)
					}
				case errors.Is(err, syscall.EIO) || errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EACCES):
					failed++
					if !strings.Contains(err.Error(), "machines.json") || rev != 0 {
						t.Errorf("operation %d %s: revision %d, and the error does not say of what: %v", k, how, rev, err)
					}
					before.check(t, r, path)
					// A temporary file that is there although its making failed is
					// swept by the next write.
					if trace[k].Kind != errorfs.Create {
						noTemporaries(t, filepath.Dir(path))
					}
				default:
					t.Errorf("operation %d %s: %v", k, how, err)
				}
				add(t, r, "next-"+name)
				want++
				noTemporaries(t, filepath.Dir(path))
				if raw := mustParse(t, path); int(raw.Revision) != want || len(raw.Machines) != want+1 {
					t.Fatalf("operation %d %s: file is at revision %d with %d machines, want %d", k, how, raw.Revision, len(raw.Machines), want)
				}
			}
			t.Logf("%d operations failed in turn, %d writes with them", fired, failed)
			if failed == 0 {
				t.Error("no write failed")
			}
		})
	}
}

// names reports whether err says which file it is about, quoted or not.
func names(err error, path string) bool {
	return strings.Contains(err.Error(), path) || strings.Contains(err.Error(), strconv.Quote(path))
}

// What is at the path is not a file.
func TestTargetIsNotAFile(t *testing.T) {
	for what, make := range notFiles {
		t.Run(what, func(t *testing.T) {
			path := newPath(t)
			if err := make(path); err != nil {
				t.Fatal(err)
			}
			if _, err := registry.OpenMachines(path, nil); err == nil || !names(err, path) {
				t.Errorf("Open of %s = %v, want an error that names it", what, err)
			}
			if got := list(t, filepath.Dir(path)); len(got) != 1 {
				t.Errorf("Open left %q", got)
			}
		})
		t.Run(what+" now", func(t *testing.T) {
			path := newPath(t)
			r := open(t, path, &registry.Options{Refresh: registry.RefreshNever})
			add(t, r, "a", "b")
			before := stateOf(t, r, path)
			if err := os.Rename(path, path+".away"); err != nil {
				t.Fatal(err)
			}
			if err := make(path); err != nil {
				t.Fatal(err)
			}
			if _, err := r.Add(t.Context(), machineOf("c")); err == nil || !names(err, path) {
				t.Errorf("Add when the file is %s = %v, want an error that names it", what, err)
			}
			if err := r.Health(); err == nil {
				t.Error("Health finds nothing wrong")
			}
			if info, err := os.Lstat(path); err != nil || info.Mode().IsRegular() {
				t.Errorf("%s is now %v, %v", what, info.Mode(), err)
			}
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(path+".away", path); err != nil {
				t.Fatal(err)
			}
			before.check(t, r, path)
			noTemporaries(t, filepath.Dir(path))
			if rev := add(t, r, "c"); rev != 3 {
				t.Errorf("next add is revision %d, want 3", rev)
			}
		})
	}
}

// A disk that is full only as long as the version before is still open is not
// full for a write.
func TestFullUntilTheVersionBeforeIsClosed(t *testing.T) {
	disk := errorfs.Wrap(vfs.OS)
	r := open(t, newPath(t), &registry.Options{FS: disk, Refresh: registry.RefreshNever})
	add(t, r, "a", "b")
	injected := disk.Inject(errorfs.Plan{
		Match: func(op errorfs.Op) bool { return op.Kind == errorfs.Write },
		Fault: errorfs.Short(syscall.ENOSPC),
	})
	if rev, err := r.Add(t.Context(), machineOf("c")); err != nil || rev != 3 {
		t.Errorf("Add = %d, %v, want revision 3", rev, err)
	}
	if injected.Fired() != 1 {
		t.Errorf("the disk was full %d times, want once", injected.Fired())
	}
}

// A file that a program has open in a way that forbids to replace it is replaced
// when the program lets go, or not at all.
func TestFileInUse(t *testing.T) {
	inUse := func(op errorfs.Op) bool { return op.Kind == errorfs.Rename }
	t.Run("for a moment", func(t *testing.T) {
		disk := errorfs.Wrap(vfs.OS)
		path := newPath(t)
		r := open(t, path, &registry.Options{FS: disk, Refresh: registry.RefreshNever})
		add(t, r, "a", "b")
		injected := disk.Inject(errorfs.Plan{Match: inUse, Times: 5, Fault: errorfs.Fail(vfs.ErrInUse)})
		if rev, err := r.Add(t.Context(), machineOf("c")); err != nil || rev != 3 {
			t.Errorf("Add = %d, %v, want revision 3", rev, err)
		}
		if injected.Fired() != 5 {
			t.Errorf("the file was in use %d times, want 5", injected.Fired())
		}
		noTemporaries(t, filepath.Dir(path))
	})
	t.Run("for too long", func(t *testing.T) {
		disk := errorfs.Wrap(vfs.OS)
		path := newPath(t)
		r := open(t, path, &registry.Options{FS: disk, Refresh: registry.RefreshNever, LockTimeout: 100 * time.Millisecond})
		add(t, r, "a", "b")
		before := stateOf(t, r, path)
		disk.Inject(errorfs.Plan{Match: inUse, Times: errorfs.Always, Fault: errorfs.Fail(vfs.ErrInUse)})
		if _, err := r.Add(t.Context(), machineOf("c")); !errors.Is(err, registry.ErrLockTimeout) || !errors.Is(err, vfs.ErrInUse) {
			t.Errorf("Add = %v, want ErrLockTimeout for a file in use", err)
		}
		before.check(t, r, path)
		noTemporaries(t, filepath.Dir(path))
	})
}
