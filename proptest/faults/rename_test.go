package faults_test

import (
	"errors"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"github.com/machreg/machreg/internal/vfs/errorfs"
	"github.com/machreg/machreg/registry"
)

// A rename that reports failure may have happened, as over a network. If the
// registry can find that out, it must be right; if it cannot, it must say so.
func TestRenameThatReportsFailure(t *testing.T) {
	looks := []errorfs.Kind{errorfs.Stat, errorfs.Lstat}
	for _, c := range []struct {
		name     string
		happened bool
		silent   []errorfs.Kind // what fails after it
		want     error          // nil: the write succeeded
	}{
		{"happened", true, nil, nil},
		{"did not happen", false, nil, syscall.EIO},
		{"happened, cannot be looked at", true, looks, registry.ErrInDoubt},
		{"did not happen, cannot be looked at, but the temporary file is there", false, looks, syscall.EIO},
		{"happened, nothing works", true, slices.Concat(looks, []errorfs.Kind{errorfs.Remove}), registry.ErrInDoubt},
		{"did not happen, nothing works", false, slices.Concat(looks, []errorfs.Kind{errorfs.Remove}), registry.ErrInDoubt},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := inDirectory(func(dir string) {
				w := newWorld(dir, nil)
				existing(w)
				h := w.open()
				fault := errorfs.Fail(syscall.EIO)
				if c.happened {
					fault = errorfs.FailAfter(syscall.EIO)
				}
				rename := w.inject(errorfs.Plan{Match: errorfs.Only(errorfs.Rename), Fault: fault}, syscall.EIO)
				w.faulty.Before(func(op errorfs.Op) {
					if op.Kind != errorfs.Rename {
						return
					}
					for _, kind := range c.silent {
						w.inject(errorfs.Plan{Match: errorfs.Only(kind), Times: errorfs.Always, Fault: errorfs.Fail(syscall.EIO)})
					}
				})
				_, err := h.r.Add(t.Context(), machineOf("b"))
				if !errors.Is(err, c.want) || c.want == nil != (err == nil) || errors.Is(err, registry.ErrInDoubt) != (c.want == registry.ErrInDoubt) {
					t.Errorf("Add = %v, want %v", err, c.want)
				}
				if rename.Fired() != 1 {
					t.Errorf("%d renames failed, want 1", rename.Fired())
				}
				w.faulty.Before(nil)
				f, _ := w.file()
				if f.names["b"] != c.happened {
					t.Errorf("the file holds %v", f.names)
				}
				w.now = f.names
				w.faulty.Clear()
				h.add("c")
				if left, err := w.disk.ReadNames(filepath.Dir(registryPath)); err != nil || len(left) != 1 {
					t.Errorf("after the handle's next write there are %q, %v", left, err)
				}
				w.settle()
				for _, p := range w.problems {
					t.Error(p)
				}
			})
			if err != nil {
				t.Fatal(err)
			}
		})
	}
}
