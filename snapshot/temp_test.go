package snapshot_test

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/machreg/machreg/internal/vfs"
	"github.com/machreg/machreg/internal/vfs/errorfs"
	"github.com/machreg/machreg/snapshot"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// A new version is written in TempDir if it can be renamed from there, and
// beside the file otherwise.
func TestTempDir(t *testing.T) {
	otherDevice := syscall.EXDEV
	if runtime.GOOS == "windows" {
		otherDevice = 17 // ERROR_NOT_SAME_DEVICE
	}
	for _, c := range []struct {
		name    string
		make    bool // the directory
		fault   error
		changed int // attempts that find that they must be made in another way
		beside  bool
	}{
		{name: "usable", make: true},
		{name: "missing", beside: true},
		{name: "on another file system", make: true, fault: otherDevice, changed: 1, beside: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			temps := filepath.Join(dir, "locks")
			if c.make {
				must(t, os.Mkdir(temps, 0o755))
			}
			disk := errorfs.Wrap(vfs.OS)
			if c.fault != nil {
				disk.Inject(errorfs.Plan{Match: errorfs.Only(errorfs.Rename), Fault: errorfs.Fail(c.fault)})
			}
			codec := machines(t)
			f := newFile(filepath.Join(dir, "machines.json"), codec, snapshot.FileOptions{TempDir: temps, FS: disk})
			changed := 0
			for i := range 3 {
				for {
					v, err := f.Load(nil, nil)
					must(t, err)
					disk.Record()
					edit := v.Snapshot.Edit()
					entry, err := codec.Entry("m", machine{Name: "m", Type: strings.Repeat("x", i+1)})
					must(t, err)
					edit.Apply(snapshot.Write[machine]{Put: []snapshot.Entry[machine]{entry}})
					p, err := f.Prepare(v, edit.Snapshot())
					must(t, err)
					must(t, p.Fence(v))
					next, err := p.Publish()
					created := disk.Trace()
					must(t, v.Close())
					if err != nil {
						if changed++; changed > 1 {
							t.Fatal(err)
						}
						continue
					}
					p.Release()
					must(t, next.Close())
					for _, op := range created {
						if op.Kind == errorfs.Write && (filepath.Dir(op.Path) == dir) != c.beside {
							t.Errorf("the new version was written as %q", op.Path)
						}
					}
					break
				}
			}
			if changed != c.changed {
				t.Errorf("%d attempts failed, want %d", changed, c.changed)
			}
			if left, err := f.Leftovers(); err != nil || len(left) > 0 {
				t.Errorf("left: %q, %v", left, err)
			}
			stale := filepath.Join(dir, ".machines.json.3w5e11264sgsf.tmp")
			must(t, os.WriteFile(stale, nil, 0o644))
			want := []string{stale}
			if c.make {
				want = append([]string{filepath.Join(temps, filepath.Base(stale))}, want...)
				must(t, os.WriteFile(want[0], nil, 0o644))
			}
			if left, err := f.Leftovers(); err != nil || strings.Join(left, "\n") != strings.Join(want, "\n") {
				t.Errorf("Leftovers = %q, %v, want %q", left, err, want)
			}
			if n, err := f.Sweep(); err != nil || n != len(want) {
				t.Errorf("Sweep = %d, %v, want %d", n, err, len(want))
			}
		})
	}
}
