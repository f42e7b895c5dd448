package errorfs_test

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"

	"github.com/machreg/machreg/internal/vfs"
	"github.com/machreg/machreg/internal/vfs/errorfs"
)

// replace is the scenario of these tests: every kind of operation once, and
// some twice. It stops at the first error.
func replace(fsys vfs.FS, dir string) (err error) {
	temp, target := filepath.Join(dir, "temp"), filepath.Join(dir, "target")
	f, err := fsys.Create(temp, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if _, err := f.Write([]byte("content")); err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if err := f.Chown(info.UID, info.GID); err != nil {
		return err
	}
	if err := f.Chmod(0o640); err != nil {
		return err
	}
	if err := f.SetModTime(1e18); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := fsys.Rename(temp, target); err != nil {
		return err
	}
	if err := vfs.SyncDir(fsys, dir); err != nil {
		return err
	}
	g, err := fsys.Open(target)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, g.Close()) }()
	buf := make([]byte, len("content"))
	if _, err := g.ReadAt(buf, 0); err != nil {
		return err
	}
	if string(buf) != "content" {
		return fmt.Errorf("read %q", buf)
	}
	if _, err := fsys.Stat(target); err != nil {
		return err
	}
	if _, err := fsys.Lstat(target); err != nil {
		return err
	}
	if _, err := fsys.Resolve(target); err != nil {
		return err
	}
	made := filepath.Join(dir, "directory")
	if err := fsys.Mkdir(made, 0o700); err != nil {
		return err
	}
	if err := fsys.Remove(made); err != nil {
		return err
	}
	if _, err := fsys.ReadNames(dir); err != nil {
		return err
	}
	return fsys.Remove(target)
}

var replaceKinds = []errorfs.Kind{
	errorfs.Create, errorfs.Write, errorfs.FileStat, errorfs.Chown, errorfs.Chmod,
	errorfs.SetModTime, errorfs.Sync, errorfs.Rename, errorfs.OpenDir, errorfs.SyncDir, errorfs.Open,
	errorfs.ReadAt, errorfs.Stat, errorfs.Lstat, errorfs.Resolve, errorfs.Mkdir,
	errorfs.Remove, errorfs.ReadNames, errorfs.Remove, errorfs.Close, errorfs.Close,
}

func TestTraceNumbersEveryOperation(t *testing.T) {
	efs := errorfs.Wrap(vfs.OS)
	for range 2 {
		dir := t.TempDir()
		before := efs.Ops()
		efs.Record()
		if err := replace(efs, dir); err != nil {
			t.Fatal(err)
		}
		trace := efs.Trace()
		if got := efs.Ops() - before; got != len(replaceKinds) || len(trace) != got {
			t.Fatalf("%d operations, %d traced, want %d", got, len(trace), len(replaceKinds))
		}
		for i, op := range trace {
			if op.Number != before+i || op.Kind != replaceKinds[i] {
				t.Errorf("operation %d is %v, want %v", before+i, op, replaceKinds[i])
			}
			if filepath.Dir(op.Path) != dir && op.Path != dir {
				t.Errorf("%v: path is not in %q", op, dir)
			}
		}
		if op := trace[7]; op.Path != filepath.Join(dir, "temp") || op.To != filepath.Join(dir, "target") {
			t.Errorf("trace has %v, want temp renamed to target", op)
		}
	}
	var missing []errorfs.Kind
	for _, k := range errorfs.Kinds() {
		if !slices.Contains(replaceKinds, k) {
			missing = append(missing, k)
		}
	}
	if missing != nil {
		t.Errorf("the scenario of these tests lacks %v", missing)
	}
}

// TestEveryOperationFails injects every error at every operation, until the
// fault does not fire any more.
func TestEveryOperationFails(t *testing.T) {
	for _, injected := range errorfs.Errors {
		for name, fault := range map[string]errorfs.Fault{
			"before": errorfs.Fail(injected),
			"after":  errorfs.FailAfter(injected),
		} {
			k := 0
			for ; ; k++ {
				efs := errorfs.Wrap(vfs.OS)
				in := efs.Inject(errorfs.Plan{At: k, Fault: fault})
				err := replace(efs, t.TempDir())
				if in.Fired() == 0 {
					if err != nil {
						t.Fatalf("%v %s, nothing fired: %v", injected, name, err)
					}
					break
				}
				if !errors.Is(err, injected) || in.Fired() != 1 {
					t.Fatalf("%v %s at %d (%v): error %v, fired %d times", injected, name, k, replaceKinds[k], err, in.Fired())
				}
			}
			if k != len(replaceKinds) {
				t.Errorf("%v %s fired at %d operations, want %d", injected, name, k, len(replaceKinds))
			}
		}
	}
}

func TestErrorsAreShapedAsTheRealOnes(t *testing.T) {
	efs := errorfs.Wrap(vfs.OS)
	efs.Inject(errorfs.Plan{Times: errorfs.Always, Fault: errorfs.Fail(syscall.EACCES)})
	var path *fs.PathError
	if _, err := efs.Open("name"); !errors.As(err, &path) || path.Path != "name" || !errors.Is(err, fs.ErrPermission) {
		t.Errorf("Open: %#v", err)
	}
	var link *os.LinkError
	if err := efs.Rename("old", "new"); !errors.As(err, &link) || link.Old != "old" || link.New != "new" {
		t.Errorf("Rename: %#v", err)
	}
}

func TestFailAfterHasHappened(t *testing.T) {
	dir := t.TempDir()
	name := func(s string) string { return filepath.Join(dir, s) }
	exists := func(s string) bool {
		_, err := os.Lstat(name(s))
		return err == nil
	}
	for _, test := range []struct {
		kind errorfs.Kind
		run  func(vfs.FS) error
		done func() bool
	}{
		{errorfs.Create, func(f vfs.FS) error { _, err := f.Create(name("a"), 0o600); return err }, func() bool { return exists("a") }},
		{errorfs.Rename, func(f vfs.FS) error { return f.Rename(name("a"), name("b")) }, func() bool { return exists("b") && !exists("a") }},
		{errorfs.Remove, func(f vfs.FS) error { return f.Remove(name("b")) }, func() bool { return !exists("b") }},
		{errorfs.Write, func(f vfs.FS) error {
			file, err := f.Create(name("c"), 0o600)
			if err != nil {
				t.Fatal(err)
			}
			defer file.Close()
			_, err = file.Write([]byte("written"))
			return err
		}, func() bool { data, _ := os.ReadFile(name("c")); return string(data) == "written" }},
	} {
		t.Run(test.kind.String(), func(t *testing.T) {
			for _, mode := range []struct {
				name  string
				fault errorfs.Fault
				done  bool
			}{{"before", errorfs.Fail(syscall.EIO), false}, {"after", errorfs.FailAfter(syscall.EIO), true}} {
				os.Remove(name("c"))
				efs := errorfs.Wrap(vfs.OS)
				in := efs.Inject(errorfs.Plan{Match: errorfs.Only(test.kind), Fault: mode.fault})
				if err := test.run(efs); !errors.Is(err, syscall.EIO) || in.Fired() != 1 {
					t.Fatalf("%s: error %v, fired %d times", mode.name, err, in.Fired())
				}
				if got := test.done(); got != mode.done {
					t.Errorf("%s: happened = %t, want %t", mode.name, got, mode.done)
				}
			}
		})
	}
}

func TestShort(t *testing.T) {
	for _, test := range []struct {
		err, write, read error
	}{
		{syscall.ENOSPC, syscall.ENOSPC, syscall.ENOSPC},
		{nil, io.ErrShortWrite, io.EOF},
	} {
		efs := errorfs.Wrap(vfs.OS)
		f, err := efs.Create(filepath.Join(t.TempDir(), "f"), 0o600)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		in := efs.Inject(errorfs.Plan{At: 1, Times: 2, Fault: errorfs.Short(test.err)})
		for i, want := range []struct {
			n   int
			err error
		}{{5, nil}, {2, test.write}, {0, test.write}, {5, nil}} {
			p := []byte("01234")
			if i == 2 {
				p = p[:1]
			}
			if n, err := f.Write(p); n != want.n || !errors.Is(err, want.err) {
				t.Errorf("write %d = %d, %v; want %d, %v", i, n, err, want.n, want.err)
			}
			if n, err := f.Write(nil); n != 0 || err != nil {
				t.Errorf("empty write = %d, %v", n, err)
			}
		}
		if in.Fired() != 2 {
			t.Errorf("fired %d times, want 2", in.Fired())
		}
		in = efs.Inject(errorfs.Plan{Fault: errorfs.Short(test.err)})
		buf := make([]byte, 8)
		if n, err := f.ReadAt(buf, 1); n != 4 || !errors.Is(err, test.read) || in.Fired() != 1 {
			t.Errorf("short read = %d, %v, fired %d times; want 4, %v, 1", n, err, in.Fired(), test.read)
		}
		if n, err := f.ReadAt(buf, 1); n != 8 || err != nil || string(buf) != "12340101" {
			t.Errorf("read = %d, %v, %q", n, err, buf)
		}
	}
}

func TestPlansCountWhatTheyMatch(t *testing.T) {
	efs := errorfs.Wrap(vfs.OS)
	onlyB := efs.Inject(errorfs.Plan{
		At: 1, Times: errorfs.Always,
		Match: func(op errorfs.Op) bool { return op.Kind == errorfs.Stat && op.Path == "b" },
		Fault: errorfs.Fail(syscall.EIO),
	})
	stats := efs.Inject(errorfs.Plan{At: 4, Match: errorfs.Only(errorfs.Stat), Fault: errorfs.Fail(syscall.EROFS)})
	var got []string
	for _, name := range []string{"a", "b", "a", "b", "a", "b", "a"} {
		_, err := efs.Stat(name)
		efs.Remove("a")
		switch {
		case errors.Is(err, syscall.EIO):
			got = append(got, "EIO")
		case errors.Is(err, syscall.EROFS):
			got = append(got, "EROFS")
		default:
			got = append(got, "-")
		}
	}
	if want := []string{"-", "-", "-", "EIO", "EROFS", "EIO", "-"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if onlyB.Fired() != 2 || stats.Fired() != 1 {
		t.Errorf("fired %d and %d times, want 2 and 1", onlyB.Fired(), stats.Fired())
	}
	efs.Clear()
	if _, err := efs.Stat("b"); !errors.Is(err, fs.ErrNotExist) || onlyB.Fired() != 2 {
		t.Errorf("after Clear: %v, fired %d times", err, onlyB.Fired())
	}
}

func TestPowerLossIsForGood(t *testing.T) {
	dir := t.TempDir()
	efs := errorfs.Wrap(vfs.OS)
	in := efs.Inject(errorfs.PowerLossAt(7)) // the rename
	for range 2 {
		if err := replace(efs, dir); !errors.Is(err, errorfs.ErrPowerLoss) {
			t.Errorf("error %v, want %v", err, errorfs.ErrPowerLoss)
		}
	}
	if in.Fired() != 3 { // rename, close, and create of the second run
		t.Errorf("fired %d times, want 3", in.Fired())
	}
	names, err := os.ReadDir(dir)
	if err != nil || len(names) != 1 || names[0].Name() != "temp" {
		t.Errorf("directory holds %v (%v), want temp", names, err)
	}
}

func TestBeforeMayUseTheFileSystem(t *testing.T) {
	dir := t.TempDir()
	efs := errorfs.Wrap(vfs.OS)
	var seen []errorfs.Kind
	efs.Before(func(op errorfs.Op) {
		if op.Number != len(seen) {
			t.Errorf("hook sees %v, want number %d", op, len(seen))
		}
		seen = append(seen, op.Kind)
		if _, err := os.ReadDir(dir); err != nil {
			t.Error(err)
		}
		if got := efs.Ops(); got != op.Number+1 {
			t.Errorf("Ops() = %d in the hook of %v", got, op)
		}
	})
	if err := replace(efs, dir); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(seen, replaceKinds) {
		t.Errorf("hook saw %v, want %v", seen, replaceKinds)
	}
}

func TestConcurrentUse(t *testing.T) {
	efs := errorfs.Wrap(vfs.OS)
	efs.Record()
	const goroutines = 8
	in := efs.Inject(errorfs.Plan{At: 10, Times: 5, Match: errorfs.Only(errorfs.Stat), Fault: errorfs.Fail(syscall.EIO)})
	var mu sync.Mutex
	failed := 0
	var wg sync.WaitGroup
	for range goroutines {
		dir := t.TempDir()
		wg.Go(func() {
			for range 10 {
				if err := replace(efs, dir); err != nil {
					if !errors.Is(err, syscall.EIO) {
						t.Error(err)
					}
					os.Remove(filepath.Join(dir, "target"))
					mu.Lock()
					failed++
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	if failed != 5 || in.Fired() != 5 {
		t.Errorf("%d scenarios failed, fired %d times, want 5", failed, in.Fired())
	}
	for i, op := range efs.Trace() {
		if op.Number != i {
			t.Fatalf("trace has %v at %d", op, i)
		}
	}
	if got, want := len(efs.Trace()), efs.Ops(); got != want {
		t.Errorf("trace has %d operations, want %d", got, want)
	}
}
