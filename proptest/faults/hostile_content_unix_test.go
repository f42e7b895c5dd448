//go:build unix

package faults_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"unicode"

	"github.com/machreg/machreg/internal/vfs"
	"github.com/machreg/machreg/internal/vfs/errorfs"
	"github.com/machreg/machreg/registry"
)

// Row 7: control characters, bidi overrides, invalid UTF-8; a host or user that
// begins with "-".
func TestHostile_Text(t *testing.T) {
	bad := []string{"\x00", "a\nb", "\x1b[31mred", "\x7f", "\u0085", "a\u202eb", "a\u2066b", "\u200f", "\xff", "a\u2028b"}
	var machines []registry.Machine
	for _, s := range bad {
		ok := machineOf("ok")
		for _, field := range []*string{&ok.Name, &ok.Type, &ok.Host, &ok.KeyPath, &ok.TownPath} {
			was := *field
			*field = s
			machines = append(machines, ok)
			*field = was
		}
	}
	for _, host := range []string{"-oProxyCommand=evil", "-l@host", "user@-host", "@host", "user@"} {
		m := machineOf("ok")
		m.Host = host
		machines = append(machines, m)
	}
	path := filepath.Join(t.TempDir(), "machines.json")
	var log bytes.Buffer
	r := mustOpen(t, path, &registry.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	mustAdd(t, r, "good")
	for _, m := range machines {
		_, err := r.Add(t.Context(), m)
		if !errors.Is(err, registry.ErrInvalid) {
			t.Errorf("Add(%+q) = %v, want %v", m, err, registry.ErrInvalid)
		} else {
			mustBePrintable(t, "error", err.Error())
		}
	}
	mustHold(t, path, "good")

	// Found in a file, they are kept from readers, named without harm, and kept.
	entry := `"\u001b[2J\u202e": {"name":"\u001b[2J\u202e","type":"ssh","host":"-oProxyCommand=x","key_path":"","town_path":""}`
	text := `{"version":1,"machines":{` + entry + `,"good":{"name":"good","type":"local","host":"","key_path":"","town_path":""}}}`
	must(t, os.WriteFile(path, []byte(text), 0o644))
	must(t, r.Refresh(t.Context()))
	if n := r.Len(); n != 2 { // good and local
		t.Errorf("%d machines are served, want 2", n)
	}
	q := r.Snapshot().Quarantine()
	if len(q) != 1 {
		t.Fatalf("quarantined: %+v, want one", q)
	}
	mustBePrintable(t, "quarantine reason", q[0].Reason)
	mustAdd(t, r, "new")
	data, err := os.ReadFile(path)
	if err != nil || !bytes.Contains(data, []byte(`-oProxyCommand=x`)) {
		t.Errorf("the quarantined entry is not in the file any more: %s, %v", data, err)
	}
	must(t, r.Close()) // which waits for the log
	mustBePrintable(t, "log", log.String())
}

func mustBePrintable(t testing.TB, what, s string) {
	t.Helper()
	for _, r := range s {
		if r != '\n' && !unicode.IsPrint(r) || r == unicode.ReplacementChar {
			t.Errorf("%s %+q has %U in it", what, s, r)
			return
		}
	}
}

// Row 8: the file is replaced, truncated or deleted during a read; the lock
// directory is deleted in use.
func TestHostile_ChangedDuringRead(t *testing.T) {
	other := inOurForm(9, names{"other": true, "another": true})
	changes := map[string]func(path string) error{
		"replaced": func(path string) error {
			return errors.Join(os.WriteFile(path+".new", other, 0o644), os.Rename(path+".new", path))
		},
		"overwritten": func(path string) error { return os.WriteFile(path, other, 0o644) },
		"truncated":   func(path string) error { return os.Truncate(path, 100) },
		"deleted":     os.Remove,
	}
	for name, change := range changes {
		t.Run(name, func(t *testing.T) {
			for k := range 8 { // before each operation of a load
				path := filepath.Join(t.TempDir(), "machines.json")
				must(t, os.WriteFile(path, inOurForm(3, names{"a": true, "b": true}), 0o644))
				calls := errorfs.Wrap(vfs.OS)
				calls.Before(func(op errorfs.Op) {
					if op.Number == k {
						if err := change(path); err != nil {
							t.Error(err)
						}
					}
				})
				r, err := registry.OpenMachines(path, &registry.Options{FS: calls, Refresh: registry.RefreshNever})
				if err != nil {
					if name != "truncated" || !errors.Is(err, registry.ErrCorrupt) {
						t.Errorf("changed before operation %d: %v", k, err)
					}
					continue
				}
				got, err := namesIn(r.Snapshot())
				whole := got.equal(names{"a": true, "b": true}) || got.equal(names{"other": true, "another": true}) || name == "deleted" && len(got) == 0
				if err != nil || !whole {
					t.Errorf("changed before operation %d: %v, %v", k, got, err)
				}
				must(t, r.Close())
			}
		})
	}
	t.Run("lock directory deleted", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "machines.json")
		locks := filepath.Join(filepath.Dir(path), ".gastown")
		var writers sync.WaitGroup
		want := []string{}
		for i := range 3 {
			r := mustOpen(t, path, nil)
			for j := range 15 {
				want = append(want, fmt.Sprintf("m%d-%d", i, j))
			}
			writers.Go(func() {
				for j := range 15 {
					if _, err := r.Add(t.Context(), machineOf(fmt.Sprintf("m%d-%d", i, j))); err != nil {
						t.Error(err)
					}
					if j%5 == i {
						os.RemoveAll(locks)
					}
				}
			})
		}
		writers.Wait()
		mustHold(t, path, want...)
	})
}

// Row 9: disk full, quota, read-only remount between two writes.
func TestHostile_DiskFull(t *testing.T) {
	for _, cause := range []error{syscall.ENOSPC, syscall.EDQUOT, syscall.EROFS} {
		t.Run(cause.Error(), func(t *testing.T) {
			err := inDirectory(func(dir string) {
				w := newWorld(dir, nil)
				existing(w)
				h, reader := w.open(), w.open()
				h.add("b")
				before := w.bytes()
				writing := errorfs.Only(errorfs.Create, errorfs.Write, errorfs.Rename, errorfs.Chmod, errorfs.SetModTime)
				full := w.inject(errorfs.Plan{Match: writing, Times: errorfs.Always, Fault: errorfs.Fail(cause)}, cause)
				_, err := h.r.Add(t.Context(), machineOf("c"))
				if !errors.Is(err, cause) || full.Fired() == 0 {
					t.Errorf("Add = %v, want %v", err, cause)
				}
				if !bytes.Equal(w.bytes(), before) {
					t.Errorf("the file changed to %s", w.bytes())
				}
				reader.latest()
				if left, err := w.disk.ReadNames(filepath.Dir(registryPath)); err != nil || len(left) != 1 {
					t.Errorf("left: %q, %v", left, err)
				}
				w.faulty.Clear()
				h.add("c")
				w.settle()
				for _, p := range w.problems {
					t.Error(p)
				}
			})
			must(t, err)
		})
	}
}
