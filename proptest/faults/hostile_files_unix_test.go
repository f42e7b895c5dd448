//go:build unix

package faults_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/machreg/machreg/filelock"
	"github.com/machreg/machreg/internal/vfs"
	"github.com/machreg/machreg/registry"
)

// One test for each row of what a registry may meet. The packages test the
// details for themselves; here is the promise as a user of registry sees it.

// Row 1: the registry path is a symlink, relative, or reached by two names.
func TestHostile_PathBySeveralNames(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "real", "machines.json")
	must(t, os.MkdirAll(filepath.Dir(path), 0o755))
	link, linkedDir := filepath.Join(dir, "link.json"), filepath.Join(dir, "also")
	must(t, os.Symlink(filepath.Join("real", "machines.json"), link))
	must(t, os.Symlink("real", linkedDir))
	t.Chdir(dir)
	var rs []*registry.MachineRegistry
	paths := []string{path, link, filepath.Join(linkedDir, "machines.json"), "real/../link.json"}
	for _, p := range paths {
		rs = append(rs, mustOpen(t, p, nil))
	}
	var all sync.WaitGroup
	want := []string{}
	for i, r := range rs {
		for j := range 10 {
			name := fmt.Sprintf("m%d-%d", i, j)
			want = append(want, name)
			all.Go(func() {
				if _, err := r.Add(t.Context(), machineOf(name)); err != nil {
					t.Errorf("add through %q: %v", paths[i], err)
				}
			})
		}
	}
	all.Wait()
	mustHold(t, path, want...)
	for i, r := range rs {
		if snap, err := r.Latest(t.Context()); err != nil || snap.Len() != len(want)+1 {
			t.Errorf("through %q: %d machines, %v, want %d", paths[i], snap.Len(), err, len(want)+1)
		}
	}
	if target, err := os.Readlink(link); err != nil || target != filepath.Join("real", "machines.json") {
		t.Errorf("the link is now %q, %v", target, err)
	}
	locks, err := filepath.Glob(filepath.Join(dir, "*", ".gastown", "locks", "*.lock"))
	if err != nil || len(locks) != 1+1 { // the same one, seen through real and also
		t.Errorf("locks %q, %v, want one", locks, err)
	}
}

// Row 2: the registry has several hard links.
func TestHostile_HardLinks(t *testing.T) {
	dir := t.TempDir()
	path, other := filepath.Join(dir, "machines.json"), filepath.Join(dir, "other.json")
	mustAdd(t, mustOpen(t, path, nil), "a")
	must(t, os.Link(path, other))
	r := mustOpen(t, path, nil)
	if _, err := r.Add(t.Context(), machineOf("b")); err == nil || !strings.Contains(err.Error(), "hard links") {
		t.Errorf("Add to a file with two links: %v, want a refusal that says so", err)
	}
	mustHold(t, path, "a")
	if m, err := r.Get("a"); err != nil || m != machineOf("a") {
		t.Errorf("Get = %+v, %v", m, err)
	}
	mustAdd(t, mustOpen(t, path, &registry.Options{SplitHardLinks: true}), "b")
	mustHold(t, path, "a", "b")
	mustHold(t, other, "a")
}

// Row 3: the lock directory or lock file is a symlink; the directory is
// writable by others and not sticky.
func TestHostile_LockPlanted(t *testing.T) {
	plant := map[string]func(t *testing.T, locks, outside string){
		"directory is a link": func(t *testing.T, locks, outside string) {
			must(t, os.Symlink(outside, locks))
		},
		"file is a link": func(t *testing.T, locks, outside string) {
			must(t, os.Mkdir(locks, 0o755))
			must(t, os.Symlink(filepath.Join(outside, "victim"), filepath.Join(locks, "machines.json.lock")))
		},
		"holder is a link": func(t *testing.T, locks, outside string) {
			must(t, os.Mkdir(locks, 0o755))
			must(t, os.Symlink(filepath.Join(outside, "victim"), filepath.Join(locks, "machines.json.lock.holder")))
		},
		"directory is open to all": func(t *testing.T, locks, outside string) {
			must(t, os.Mkdir(locks, 0o755))
			must(t, os.Chmod(locks, 0o777))
		},
	}
	for name, prepare := range plant {
		t.Run(name, func(t *testing.T) {
			dir, outside := t.TempDir(), t.TempDir()
			victim := filepath.Join(outside, "victim")
			must(t, os.WriteFile(victim, []byte("precious"), 0o644))
			locks := filepath.Join(dir, ".gastown", "locks")
			must(t, os.Mkdir(filepath.Dir(locks), 0o755))
			prepare(t, locks, outside)
			path := filepath.Join(dir, "machines.json")
			r := mustOpen(t, path, nil)
			if _, err := r.Add(t.Context(), machineOf("a")); !errors.Is(err, filelock.ErrUnsafe) {
				t.Errorf("Add = %v, want %v", err, filelock.ErrUnsafe)
			}
			if _, err := os.Lstat(path); !os.IsNotExist(err) {
				t.Errorf("the registry was written: %v", err)
			}
			must(t, os.Remove(victim)) // only it is there, and as it was
			if left, err := os.ReadDir(outside); err != nil || len(left) > 0 {
				t.Errorf("left outside: %v, %v", left, err)
			}
		})
	}
	t.Run("page is a link", func(t *testing.T) {
		dir, outside := t.TempDir(), t.TempDir()
		victim := filepath.Join(outside, "victim")
		content := bytes.Repeat([]byte("precious"), 1024)
		must(t, os.WriteFile(victim, content, 0o644))
		locks := filepath.Join(dir, ".gastown", "locks")
		must(t, os.MkdirAll(locks, 0o755))
		must(t, os.Symlink(victim, filepath.Join(locks, "machines.json.page")))
		r := mustOpen(t, filepath.Join(dir, "machines.json"), nil)
		r.Add(t.Context(), machineOf("a"))
		if got, err := os.ReadFile(victim); err != nil || !bytes.Equal(got, content) {
			t.Errorf("the file that the page leads to was touched: %v", err)
		}
	})
}

// Row 4: FIFO, device, directory, socket as registry.
func TestHostile_NotAFile(t *testing.T) {
	dir := t.TempDir()
	fifo, device, socket := filepath.Join(dir, "fifo"), filepath.Join(dir, "device"), filepath.Join(dir, "s")
	must(t, syscall.Mkfifo(fifo, 0o600))
	must(t, os.Symlink(os.DevNull, device))
	t.Chdir(dir) // the path of a socket has to be short
	l, err := net.Listen("unix", "s")
	must(t, err)
	defer l.Close()
	for _, path := range []string{fifo, device, dir, socket} {
		ended := make(chan error, 1)
		go func() {
			r, err := registry.OpenMachines(path, nil)
			if err == nil {
				r.Close()
			}
			ended <- err
		}()
		select {
		case err := <-ended:
			if err == nil {
				t.Errorf("Open(%q) succeeded", path)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("Open(%q) hangs", path)
		}
	}
}

// Row 5: a file over the size cap.
func TestHostile_TooLarge(t *testing.T) {
	path := filepath.Join(t.TempDir(), "machines.json")
	must(t, os.WriteFile(path, nil, 0o644))
	must(t, os.Truncate(path, 1<<40)) // more than there is memory: it cannot have been read
	for _, opts := range []*registry.Options{nil, {MaxSize: 1 << 30}} {
		if r, err := registry.OpenMachines(path, opts); err == nil || !strings.Contains(err.Error(), "over the limit") {
			t.Errorf("Open of 1 TiB = %v, %v, want a refusal", r, err)
		}
	}
	// Nor is one written that could not be read again.
	small := filepath.Join(t.TempDir(), "machines.json")
	r := mustOpen(t, small, &registry.Options{MaxSize: 400})
	mustAdd(t, r, "a")
	if _, err := r.Add(t.Context(), machineOf(strings.Repeat("b", 400))); err == nil {
		t.Error("a file over the limit was written")
	}
	mustHold(t, small, "a")
}

// Row 6: mode 0000, read-only directory, other owner.
func TestHostile_Permissions(t *testing.T) {
	t.Run("kept by a rewrite", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "machines.json")
		r := mustOpen(t, path, nil)
		mustAdd(t, r, "a")
		must(t, os.Chmod(path, 0o640))
		uid, gid := os.Getuid(), os.Getgid()
		if uid == 0 {
			uid, gid = 1234, 5678
			must(t, os.Chown(path, uid, gid))
		}
		mustAdd(t, r, "b")
		info, err := vfs.OS.Stat(path)
		if err != nil || info.Mode.Perm() != 0o640 || info.UID != uid || info.GID != gid {
			t.Errorf("after a rewrite: %+v, %v", info, err)
		}
	})
	t.Run("as a user without rights", func(t *testing.T) {
		if os.Getuid() != 0 {
			t.Skip("NOT TESTED: only root can become another user")
		}
		dir := t.TempDir()
		for parent := dir; len(parent) > len(os.TempDir()); parent = filepath.Dir(parent) {
			must(t, os.Chmod(parent, 0o755))
		}
		exe, err := os.Executable()
		must(t, err)
		program := filepath.Join(dir, "program") // the test's own may be out of reach
		data, err := os.ReadFile(exe)
		must(t, err)
		must(t, os.WriteFile(program, data, 0o755))
		path := filepath.Join(dir, "machines.json")
		r := mustOpen(t, path, nil)
		mustAdd(t, r, "a")
		must(t, r.Close())
		before, err := os.ReadFile(path)
		must(t, err)
		for mode, want := range map[os.FileMode]string{0o644: "readable", 0o000: "closed"} {
			must(t, os.Chmod(path, mode))
			cmd, err := childCommand(nil, roleOutsider, path)
			must(t, err)
			cmd.Path, cmd.Args[0] = program, program
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 1234, Gid: 5678}}
			out, err := cmd.CombinedOutput()
			if err != nil || strings.TrimSpace(string(out)) != want {
				t.Errorf("mode %v: %v: %s, want %s", mode, err, out, want)
			}
		}
		if after, err := os.ReadFile(path); err != nil || !bytes.Equal(after, before) {
			t.Errorf("the file was changed: %v", err)
		}
	})
}

// roleOutsider is a user who may not write.
var roleOutsider = program("outsider", func(args []string) error {
	r, err := registry.OpenMachines(args[0], nil)
	if errors.Is(err, os.ErrPermission) {
		fmt.Println("closed")
		return nil
	}
	if err != nil {
		return err
	}
	defer r.Close()
	if m, err := r.Get("a"); err != nil || m != machineOf("a") {
		return fmt.Errorf("Get = %+v, %w", m, err)
	}
	if _, err := r.Add(context.Background(), machineOf("b")); !errors.Is(err, os.ErrPermission) {
		return fmt.Errorf("Add = %w, want a refusal for want of permission", err)
	}
	fmt.Println("readable")
	return nil
})
