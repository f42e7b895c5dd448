package registry_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/machreg/machreg/filelock"
	"github.com/machreg/machreg/internal/sandbox"
	"github.com/machreg/machreg/internal/vfs"
	"github.com/machreg/machreg/registry"
)

// hindered is a registry in a place where it cannot be written.
type hindered struct {
	path string
	// What Probe finds, and the error of a write says, in addition to the path.
	check, says string
	cause       error // of the write
	untold      bool  // Health does not know before a write has failed
}

// check compares what Probe, Health and a write say.
func (h hindered) test(t *testing.T) {
	t.Helper()
	dir := filepath.Dir(h.path)
	before := everything(t, dir)
	a, err := registry.Probe(t.Context(), h.path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := everything(t, dir); !slices.Equal(got, before) {
		t.Errorf("Probe left %q, want %q", got, before)
	}
	if o := refused(a); o == nil || o.Check != h.check || !strings.Contains(o.Error(), h.says) {
		t.Errorf("Probe = %q, want %s: %q", a.Findings, h.check, h.says)
	}
	r := open(t, h.path, &registry.Options{Refresh: registry.RefreshNever})
	if p := problem(r.Health(), "writes"); (p == nil) != h.untold {
		t.Errorf("Health before a write = %v", r.Health())
	}
	revision := r.Revision()
	_, err = r.Add(t.Context(), machineOf("refused"))
	o, ok := errors.AsType[*registry.Obstacle](err)
	if !ok || o.Check != h.check || !strings.Contains(err.Error(), h.says) || !strings.Contains(err.Error(), h.path) || h.cause != nil && !errors.Is(err, h.cause) {
		t.Errorf("Add = %v, want %s: %q, caused by %v", err, h.check, h.says, h.cause)
	} else {
		t.Log(err)
	}
	if r.Revision() != revision {
		t.Errorf("the refused write made revision %d of %d", r.Revision(), revision)
	}
	if p := problem(r.Health(), "writes"); p == nil || !strings.Contains(p.Err.Error(), h.says) {
		t.Errorf("Health = %v, want writes: %q", r.Health(), h.says)
	}
	reader := open(t, h.path, &registry.Options{ReadOnly: true, Refresh: registry.RefreshNever})
	if err := reader.Health(); err != nil {
		t.Errorf("Health of a read-only handle = %v", err)
	}
	if a, err := registry.Probe(t.Context(), h.path, &registry.Options{ReadOnly: true}); err != nil || a.Err() != nil {
		t.Errorf("Probe for reading only = %q, %v", a.Findings, err)
	}
}

// healed demands that a write works, and that all say so.
func (h hindered) healed(t *testing.T) {
	t.Helper()
	wantWritable(t, h.path, nil)
	r := open(t, h.path, nil)
	add(t, r, "accepted")
	if err := r.Health(); err != nil {
		t.Errorf("Health = %v", err)
	}
}

func refused(a *registry.Access) *registry.Obstacle {
	o, _ := errors.AsType[*registry.Obstacle](a.Err())
	return o
}

// wantWritable demands that Probe finds nothing in the way, and leaves nothing.
func wantWritable(t *testing.T, path string, opts *registry.Options) *registry.Access {
	t.Helper()
	before := everything(t, filepath.Dir(path))
	a, err := registry.Probe(t.Context(), path, opts)
	if err != nil || a.Err() != nil {
		t.Errorf("Probe(%q) = %v, %v, want nothing in the way", path, a, err)
	}
	if got := everything(t, filepath.Dir(path)); !slices.Equal(got, before) {
		t.Errorf("Probe left %q, want %q", got, before)
	}
	return a
}

// written is a registry of one write in a directory of its own below dir. No
// mapping keeps that from being mounted read-only.
func written(t *testing.T, dir string) (path string) {
	t.Helper()
	path = filepath.Join(dir, "registry", "machines.json")
	r, err := registry.OpenMachines(path, &registry.Options{Page: registry.PageOff})
	if err != nil {
		t.Fatal(err)
	}
	add(t, r, "a")
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// A file that is mounted by itself can be read, and not be replaced.
func TestFileMountedByItself(t *testing.T) {
	if !sandbox.Enter(t, sandbox.Mounts) {
		return
	}
	host, path := written(t, t.TempDir()), newPath(t)
	must(t, os.WriteFile(path, nil, 0o644))
	sandbox.Bind(t, host, path)
	hindered{path: path, check: "mount", says: "mount its directory", cause: syscall.EBUSY}.test(t)
	if r := open(t, path, nil); r.Len() != 2 {
		t.Errorf("Len = %d in the mount, want 2", r.Len())
	}
}

// Once such a file is replaced outside, the mount shows the old one for ever.
func TestMountedFileReplacedOutside(t *testing.T) {
	for _, policy := range []registry.RefreshPolicy{registry.RefreshWatch, registry.RefreshNever} {
		t.Run(fmt.Sprint("policy ", int(policy)), func(t *testing.T) {
			if !sandbox.Enter(t, sandbox.Mounts) {
				return
			}
			host, path := written(t, t.TempDir()), newPath(t)
			must(t, os.WriteFile(path, nil, 0o644))
			sandbox.Bind(t, host, path)
			opts := func(readOnly bool) *registry.Options {
				return &registry.Options{ReadOnly: readOnly, Refresh: policy, PollInterval: time.Millisecond}
			}
			reader := open(t, path, opts(true))
			if err := reader.Health(); err != nil {
				t.Errorf("Health = %v before it was replaced", err)
			}
			add(t, open(t, host, nil), "b")
			for _, r := range []*registry.MachineRegistry{reader, open(t, path, opts(true)), open(t, path, opts(false))} {
				if policy == registry.RefreshNever {
					must(t, r.Refresh(t.Context()))
				}
				eventually(t, "Health reports the mount", func() bool { return problem(r.Health(), "file") != nil })
				if err := r.Health(); !errors.Is(err, registry.ErrStaleMount) || !strings.Contains(err.Error(), "mount its directory") {
					t.Errorf("Health = %v, want a stale mount", err)
				}
			}
			for _, readOnly := range []bool{true, false} {
				a, err := registry.Probe(t.Context(), path, opts(readOnly))
				if err != nil || !errors.Is(a.Err(), registry.ErrStaleMount) {
					t.Errorf("Probe, read-only: %t = %v, %v, want a stale mount", readOnly, a, err)
				}
			}
			if _, err := open(t, path, opts(false)).Add(t.Context(), machineOf("c")); !errors.Is(err, registry.ErrStaleMount) || !errors.Is(err, syscall.EBUSY) {
				t.Errorf("Add = %v, want a stale mount", err)
			}
		})
	}
}

// A directory that is mounted may be removed outside, and another one be made in
// its place.
func TestMountedDirectoryRemovedOutside(t *testing.T) {
	if !sandbox.Enter(t, sandbox.Mounts) {
		return
	}
	host, dir := written(t, t.TempDir()), t.TempDir()
	sandbox.Bind(t, filepath.Dir(host), dir)
	r := open(t, filepath.Join(dir, filepath.Base(host)), &registry.Options{PollInterval: time.Millisecond})
	must(t, os.RemoveAll(filepath.Dir(host)))
	eventually(t, "Health reports the mount", func() bool { return errors.Is(r.Health(), registry.ErrStaleMount) })
	if _, err := r.Add(t.Context(), machineOf("b")); !errors.Is(err, registry.ErrStaleMount) {
		t.Errorf("Add = %v, want a stale mount", err)
	}
}

// A registry that other processes write all the time is never taken for one that
// was left behind.
func TestReplacedFileIsNoStaleMount(t *testing.T) {
	path := newPath(t)
	writer := open(t, path, &registry.Options{Sync: registry.SyncNone, Refresh: registry.RefreshNever})
	add(t, writer, "a")
	reader := open(t, path, &registry.Options{ReadOnly: true, PollInterval: time.Millisecond})
	for i := range 300 {
		add(t, writer, lineName(i))
		if _, err := reader.Latest(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := reader.Health(); err != nil {
			t.Fatalf("Health = %v while another handle writes", err)
		}
	}
}

func TestWritesOnReadOnlyMount(t *testing.T) {
	if !sandbox.Enter(t, sandbox.Mounts) {
		return
	}
	disk := t.TempDir()
	sandbox.Mount(t, "none", disk, "tmpfs", 0, "")
	h := hindered{path: written(t, disk), check: "read-only", says: "mounted read-only", cause: syscall.EROFS}
	remount := func(flags uintptr) {
		must(t, syscall.Mount("", disk, "", syscall.MS_REMOUNT|syscall.MS_BIND|flags, ""))
	}
	remount(syscall.MS_RDONLY)
	h.test(t)

	r := open(t, h.path, &registry.Options{PollInterval: time.Millisecond})
	remount(0)
	eventually(t, "Health is good again", func() bool { return r.Health() == nil })
	remount(syscall.MS_RDONLY)
	eventually(t, "Health reports the mount", func() bool { return problem(r.Health(), "writes") != nil })
	remount(0)
	h.healed(t)
}

func TestFullDiskIsFound(t *testing.T) {
	if !sandbox.Enter(t, sandbox.Mounts) {
		return
	}
	disk := t.TempDir()
	sandbox.Mount(t, "none", disk, "tmpfs", 0, "size=512k")
	h := hindered{path: written(t, disk), check: "space", says: "no space left", cause: syscall.ENOSPC, untold: true}
	filler := filepath.Join(disk, "filler")
	fill(t, filler, 0)
	h.test(t)
	must(t, os.Remove(filler))
	h.healed(t)
}

// There is a little room, but not for a new version.
func TestNearlyFullDisk(t *testing.T) {
	if !sandbox.Enter(t, sandbox.Mounts) {
		return
	}
	disk := t.TempDir()
	sandbox.Mount(t, "none", disk, "tmpfs", 0, "size=512k")
	path := filepath.Join(disk, "machines.json")
	filled(t, path, 1000, registry.Options{}).Close()
	fill(t, filepath.Join(disk, "filler"), 16<<10)
	a := wantWritable(t, path, nil)
	if !slices.ContainsFunc(a.Findings, func(o *registry.Obstacle) bool { return o.Check == "space" && o.Level == registry.LevelWarning }) {
		t.Errorf("Probe = %q, want a warning of little space", a.Findings)
	}
}

func TestMarkedFiles(t *testing.T) {
	const (
		immutable  = 0x10 // FS_IMMUTABLE_FL
		appendOnly = 0x20 // FS_APPEND_FL
	)
	for _, test := range []struct {
		name string
		mark int
		of   func(path string) string
	}{
		{"immutable file", immutable, func(path string) string { return path }},
		{"append-only file", appendOnly, func(path string) string { return path }},
		{"immutable directory", immutable, filepath.Dir},
		{"append-only directory", appendOnly, filepath.Dir},
		{"append-only locks", appendOnly, func(path string) string { return filepath.Join(filepath.Dir(path), ".gastown", "locks") }},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := written(t, t.TempDir())
			// Locks in an append-only directory stay: they are there before it is marked.
			mark(t, test.of(path), test.mark)
			t.Cleanup(func() { mark(t, test.of(path), 0) })
			word, _, _ := strings.Cut(test.name, " ")
			h := hindered{path: path, check: "marks", says: "marked as " + word, cause: fs.ErrPermission}
			h.test(t)
			mark(t, test.of(path), 0)
			h.healed(t)
		})
	}
}

// mark sets the flags of a name, as chattr does.
func mark(t *testing.T, name string, flags int) {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	had, err := unix.IoctlGetInt(int(f.Fd()), unix.FS_IOC_GETFLAGS)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(f.Fd()), unix.FS_IOC_SETFLAGS, had&^0x30|flags)
	}
	if err != nil {
		t.Skipf("NOT TESTED: a mark cannot be set here: %v", err)
	}
}

// Container engines make a directory where the file to be mounted is missing.
func TestDirectoryInPlaceOfTheFile(t *testing.T) {
	path := newPath(t)
	must(t, os.Mkdir(path, 0o755))
	a, err := registry.Probe(t.Context(), path, nil)
	if o := refused(a); err != nil || o == nil || o.Check != "file" || !strings.Contains(o.Remedy, "remove it") {
		t.Errorf("Probe = %v, %v, want a directory in place of the file", a, err)
	}
	_, err = registry.OpenMachines(path, nil)
	if o, ok := errors.AsType[*registry.Obstacle](err); !ok || o.Check != "file" || !errors.Is(err, syscall.EISDIR) || !strings.Contains(err.Error(), "remove it") {
		t.Errorf("Open = %v, want what to do about a directory", err)
	}
	if got := everything(t, filepath.Dir(path)); len(got) > 2 {
		t.Errorf("left: %q", got)
	}
}

func TestProbeHardLinks(t *testing.T) {
	path := written(t, t.TempDir())
	must(t, os.Link(path, path+".other"))
	a, err := registry.Probe(t.Context(), path, nil)
	if o := refused(a); err != nil || o == nil || o.Check != "links" {
		t.Errorf("Probe = %v, %v, want several names", a, err)
	}
	r := open(t, path, &registry.Options{PollInterval: time.Millisecond})
	if p := problem(r.Health(), "writes"); p == nil {
		t.Errorf("Health = %v, want writes", r.Health())
	}
	wantWritable(t, path, &registry.Options{SplitHardLinks: true})
	must(t, os.Remove(path+".other"))
	wantWritable(t, path, nil)
	eventually(t, "Health is good again", func() bool { return r.Health() == nil })
}

// Write permission to the file is no condition of a rename over it, but its
// absence is a wish.
func TestProtectedFile(t *testing.T) {
	path := written(t, t.TempDir())
	must(t, os.Chmod(path, 0o444))
	a, err := registry.Probe(t.Context(), path, nil)
	if o := refused(a); err != nil || o == nil || !errors.Is(o, registry.ErrProtected) {
		t.Errorf("Probe = %v, %v, want ErrProtected", a, err)
	}
	r := open(t, path, &registry.Options{PollInterval: time.Millisecond})
	if p := problem(r.Health(), "writes"); p == nil || !errors.Is(p.Err, registry.ErrProtected) {
		t.Errorf("Health = %v, want that writes are refused", r.Health())
	}
	if _, err := r.Add(t.Context(), machineOf("new")); !errors.Is(err, registry.ErrProtected) {
		t.Errorf("Add = %v, want ErrProtected", err)
	}
	wantWritable(t, path, &registry.Options{ReplaceProtected: true})
	asked := open(t, path, &registry.Options{ReplaceProtected: true})
	add(t, asked, "new")
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o444 {
		t.Errorf("after a write that was asked for the file is %v, %v, want 0444", info.Mode(), err)
	}
	must(t, os.Chmod(path, 0o644))
	eventually(t, "Health is good without a write", func() bool { return r.Health() == nil })
	add(t, r, "b")
}

func TestProbeFollowsLinks(t *testing.T) {
	path := written(t, t.TempDir())
	link := newPath(t)
	must(t, os.Symlink(path, link))
	a := wantWritable(t, link, nil)
	if a.Target != path || len(a.Findings) != 1 || a.Findings[0].Check != "path" || a.Findings[0].Level != registry.LevelNote {
		t.Errorf("Probe of a link = %+v, want %q and a note", a, path)
	}
}

// A registry that was never written, nor its directories.
func TestProbeOfNothing(t *testing.T) {
	dir := t.TempDir()
	for _, path := range []string{filepath.Join(dir, "machines.json"), filepath.Join(dir, "a", "b", "machines.json")} {
		if a, err := registry.Probe(t.Context(), path, nil); err != nil || len(a.Findings) > 0 {
			t.Errorf("Probe(%q) = %v, %v, want nothing", path, a, err)
		}
		if got := everything(t, dir); len(got) > 1 {
			t.Errorf("Probe(%q) left %q", path, got)
		}
	}
}

// Probing makes no revision and disturbs neither readers nor writers.
func TestProbeDisturbsNothing(t *testing.T) {
	path := newPath(t)
	r := open(t, path, nil)
	add(t, r, "a")
	needPage(t, r)
	before := stateOf(t, r, path)
	names := everything(t, filepath.Dir(path))
	loads := r.Stats().Loads
	for range 10 {
		if a, err := registry.Probe(t.Context(), path, nil); err != nil || len(a.Findings) > 0 {
			t.Fatalf("Probe = %v, %v, want nothing", a, err)
		}
		if _, err := r.Latest(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	before.check(t, r, path)
	if got := everything(t, filepath.Dir(path)); !slices.Equal(got, names) {
		t.Errorf("Probe left %q, want %q", got, names)
	}
	if got := r.Stats().Loads; got != loads {
		t.Errorf("a reader has loaded the file %d times meanwhile", got-loads)
	}
	free := occupy(t, r)
	start := time.Now()
	a, err := registry.Probe(t.Context(), path, nil)
	if err != nil || a.Err() != nil || len(a.Findings) != 1 || a.Findings[0].Check != "lock" || !errors.Is(a.Findings[0].Err, registry.ErrLockTimeout) {
		t.Errorf("Probe while the lock is held = %v, %v, want a note of the holder", a, err)
	}
	free()
	t.Logf("while the lock was held it took %v", time.Since(start))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := registry.Probe(ctx, path, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("Probe with an ended context = %v", err)
	}
}

// A lock directory that another user could replace is refused.
func TestProbeUnsafeLocks(t *testing.T) {
	path := written(t, t.TempDir())
	must(t, os.Chmod(filepath.Join(filepath.Dir(path), ".gastown", "locks"), 0o777))
	a, err := registry.Probe(t.Context(), path, nil)
	if o := refused(a); err != nil || o == nil || o.Check != "lock" || !errors.Is(o, filelock.ErrUnsafe) || o.Remedy == "" {
		t.Errorf("Probe = %v, %v, want an unsafe lock", a, err)
	}
}

// Locks on, or of a file on, a network file system reach as far as that lets them.
func TestLockReach(t *testing.T) {
	local, nfs, fuse := vfs.FileSystem{Name: "ext4", Kind: vfs.Disk}, vfs.FileSystem{Name: "nfs", Kind: vfs.Network}, vfs.FileSystem{Name: "fuse", Kind: vfs.FUSE}
	for _, test := range []struct {
		file, locks vfs.FileSystem
		says        string
	}{
		{local, local, ""},
		{vfs.FileSystem{}, vfs.FileSystem{}, ""},
		{nfs, nfs, `"/locks" is on a network file system (nfs)`},
		{local, nfs, `"/locks" is on a network file system (nfs)`},
		{nfs, local, `"/file" is on a network file system (nfs) and its lock, in "/locks", is not`},
		{fuse, fuse, `"/locks" is on a FUSE file system`},
		{fuse, local, ""}, // both sides go by the same directory
	} {
		o := registry.LockReach("/file", "/locks", test.file, test.locks)
		if (o == nil) != (test.says == "") || o != nil && (!strings.Contains(o.Reason, test.says) || o.Level != registry.LevelWarning || o.Remedy == "") {
			t.Errorf("with the file on %v and the lock on %v: %v, want %q", test.file, test.locks, o, test.says)
		}
	}
}

// roleProbe probes, and adds, as the user that it runs as.
var roleProbe = program("probe", func(args []string) error {
	path := args[0]
	uid, err := strconv.Atoi(args[1])
	if err := errors.Join(err, syscall.Setgroups(nil), syscall.Setgid(uid), syscall.Setuid(uid)); err != nil {
		return err
	}
	a, err := registry.Probe(context.Background(), path, nil)
	if err != nil {
		return err
	}
	o := refused(a)
	if o == nil {
		o = &registry.Obstacle{}
	}
	fmt.Printf("probe %q %q\n", o.Check, o.Error())
	r, err := registry.OpenMachines(path, &registry.Options{Refresh: registry.RefreshNever})
	if err != nil {
		return err
	}
	_, err = r.Add(context.Background(), machineOf("another"))
	o, _ = errors.AsType[*registry.Obstacle](err)
	if o == nil {
		o = &registry.Obstacle{}
	}
	fmt.Printf("add %q %q\n", o.Check, fmt.Sprint(err))
	fmt.Printf("health %t\n", problem(r.Health(), "writes") != nil)
	return r.Close()
})

func TestProbeAsAnotherUser(t *testing.T) {
	const root, other = 0, 4321
	if os.Getuid() != root {
		t.Skip("NOT TESTED: other users are taken on by root only")
	}
	if err := os.Chown(t.TempDir(), other, other); err != nil {
		t.Skipf("NOT TESTED: there is no other user here: %v", err)
	}
	for _, test := range []struct {
		name    string
		prepare func(t *testing.T, path string)
		refused bool
		says    string
	}{
		{"directory of another user", func(t *testing.T, path string) {}, true, "ls -ld"},
		{"own directory", func(t *testing.T, path string) { own(t, filepath.Dir(path), other) }, false, ""},
		{"page of another user", func(t *testing.T, path string) {
			own(t, filepath.Dir(path), other)
			page := filepath.Join(filepath.Dir(path), ".gastown", "locks", "machines.json.page")
			must(t, os.Chown(page, root, root))
			must(t, os.Chmod(page, 0o644))
		}, true, "machines.json.page"},
		{"locks of another user", func(t *testing.T, path string) {
			own(t, filepath.Dir(path), other)
			own(t, filepath.Join(filepath.Dir(path), ".gastown"), root)
		}, true, "locks"},
		{"sticky directory", func(t *testing.T, path string) {
			own(t, filepath.Dir(path), other)
			must(t, os.Chown(filepath.Dir(path), root, root))
			must(t, os.Chown(path, root, root))
			must(t, os.Chmod(filepath.Dir(path), 0o777|os.ModeSticky))
		}, true, "sticky"},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := written(t, sandbox.OpenDir(t))
			test.prepare(t, path)
			before := everything(t, filepath.Dir(path))
			p := startChild(t, roleProbe, path, strconv.Itoa(other))
			found, write := p.read("probe"), p.read("add")
			t.Logf("%s; %s", found, write)
			if got := found != `"" ""`; got != test.refused || !strings.Contains(found, test.says) {
				t.Errorf("Probe finds %s, want a refusal: %t, %q", found, test.refused, test.says)
			}
			// What Probe says is what happens.
			if got := !strings.HasSuffix(write, `"<nil>"`); got != test.refused {
				t.Errorf("Add = %s, Probe finds %s", write, found)
			}
			if got := p.read("health"); got != strconv.FormatBool(test.refused) {
				t.Errorf("Health reports refused writes: %s, want %t", got, test.refused)
			}
			p.wait()
			if test.refused {
				if got := everything(t, filepath.Dir(path)); !slices.Equal(got, before) {
					t.Errorf("left: %q, want %q", got, before)
				}
			}
		})
	}
}

// own gives everything below dir to a user.
func own(t *testing.T, dir string, id int) {
	t.Helper()
	must(t, filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		return errors.Join(err, os.Lchown(path, id, id))
	}))
}

// The locks of a FUSE file system exclude no process that goes by it.
func TestFUSE(t *testing.T) {
	if !sandbox.Enter(t, sandbox.Mounts) {
		return
	}
	path := written(t, t.TempDir())
	through := filepath.Join(bindFUSE(t, filepath.Dir(path)), filepath.Base(path))
	var log bytes.Buffer
	r := open(t, through, &registry.Options{PollInterval: time.Millisecond, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	add(t, r, "b")
	p := problem(r.Health(), "locks")
	if p == nil || !strings.Contains(p.Err.Error(), "FUSE") || len(r.Health().(*registry.HealthError).Problems) != 1 {
		t.Errorf("Health = %v, want a warning of FUSE", r.Health())
	} else {
		t.Log(p.Err)
	}
	a := wantWritable(t, through, nil)
	if len(a.Findings) != 1 || a.Findings[0].Level != registry.LevelWarning || a.FileSystem != "fuse" {
		t.Errorf("Probe = %+v, want a warning of FUSE", a)
	}
	reader := open(t, through, &registry.Options{ReadOnly: true})
	if err := reader.Health(); err != nil {
		t.Errorf("Health of a read-only handle = %v", err)
	}
	below := open(t, path, nil)
	if err := below.Health(); err != nil {
		t.Errorf("Health below the mount = %v", err)
	}
	for range 5 {
		r.Maintain()
	}
	must(t, r.Close())
	if n := strings.Count(log.String(), "a FUSE file system"); n != 1 {
		t.Errorf("the log warns of FUSE %d times, want once:\n%s", n, &log)
	}
}

// bindFUSE shows a directory through a FUSE file system.
func bindFUSE(t *testing.T, dir string) (mounted string) {
	t.Helper()
	bindfs, err := exec.LookPath("bindfs")
	if err != nil {
		t.Skipf("NOT TESTED: a FUSE file system takes bindfs: %v", err)
	}
	mounted = t.TempDir()
	cmd := exec.Command(bindfs, "-f", dir, mounted)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	must(t, cmd.Start())
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		if err := syscall.Unmount(mounted, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
		cmd.Process.Kill()
		<-ended
	})
	var st unix.Statfs_t
	for {
		if err := unix.Statfs(mounted, &st); err == nil && uint32(st.Type) == unix.FUSE_SUPER_MAGIC {
			return mounted
		}
		select {
		case err := <-ended:
			ended <- err
			t.Skipf("NOT TESTED: bindfs: %v: %s", err, &out)
		case <-time.After(time.Millisecond):
		}
	}
}
