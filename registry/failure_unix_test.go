//go:build unix

package registry_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/machreg/machreg/registry"
)

var notFiles = map[string]func(path string) error{
	"a directory": func(path string) error { return os.Mkdir(path, 0o755) },
	"a FIFO":      func(path string) error { return unix.Mkfifo(path, 0o644) },
	"a socket":    makeSocket,
}

func makeSocket(path string) error {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	// A socket's path is short; a test directory's is not.
	wd, err := os.Getwd()
	if err != nil {
		return err
	}
	if err := os.Chdir(filepath.Dir(path)); err != nil {
		return err
	}
	defer os.Chdir(wd)
	return unix.Bind(fd, &unix.SockaddrUnix{Name: filepath.Base(path)})
}

// roleUnprivileged does, as a user who is not root, one step of what follows
// for each line it reads, and reports how it ended.
var roleUnprivileged = program("unprivileged", func(args []string) error {
	path := args[0]
	opts := &registry.Options{LockDir: args[1], ReadOnly: args[2] == "read-only", Refresh: registry.RefreshNever}
	uid, _ := strconv.Atoi(args[3])
	if os.Getuid() == 0 {
		if err := errors.Join(syscall.Setgroups(nil), syscall.Setgid(uid), syscall.Setuid(uid)); err != nil {
			return err
		}
	}
	r, err := registry.OpenMachines(path, opts)
	if err != nil {
		return err
	}
	fmt.Println("ready")
	for i := 0; ; i++ {
		if line, err := childInput.ReadString('\n'); err != nil || line == "" {
			return r.Close()
		}
		before := r.Revision()
		rev, err := r.Add(context.Background(), machineOf(fmt.Sprintf("m-%d", i)))
		switch {
		case errors.Is(err, registry.ErrReadOnly):
			fmt.Printf("readonly %d %d %d\n", before, r.Revision(), r.Len())
		case errors.Is(err, os.ErrPermission):
			fmt.Printf("denied %d %d %v\n", before, r.Revision(), err)
		case err != nil:
			fmt.Printf("error %v\n", err)
		default:
			fmt.Printf("added %d\n", rev)
		}
	}
})

const nobody = 65534

// reachable is a directory that every user may enter, unlike t.TempDir's.
func reachable(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, d := range []string{dir, filepath.Dir(dir)} {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestReadOnlyDirectory(t *testing.T) {
	for _, where := range []string{"locks in it", "locks elsewhere"} {
		t.Run(where, func(t *testing.T) {
			top := reachable(t)
			dir := filepath.Join(top, "reg")
			path, locks := filepath.Join(dir, "machines.json"), ""
			if err := os.Mkdir(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			own := func(names ...string) {
				for _, name := range names {
					if os.Getuid() == 0 {
						if err := os.Chown(name, nobody, nobody); err != nil {
							t.Fatal(err)
						}
					}
				}
			}
			if where == "locks elsewhere" {
				locks = filepath.Join(top, "locks")
				if err := os.Mkdir(locks, 0o755); err != nil {
					t.Fatal(err)
				}
				own(locks)
			}
			r, err := registry.OpenMachines(path, &registry.Options{LockDir: t.TempDir()})
			if err != nil {
				t.Fatal(err)
			}
			add(t, r, "a")
			if err := r.Close(); err != nil {
				t.Fatal(err)
			}
			own(dir, path)
			if err := os.Chmod(dir, 0o555); err != nil {
				t.Fatal(err)
			}
			defer os.Chmod(dir, 0o755)
			content, names := string(mustRead(t, path)), list(t, dir)

			p := startChild(t, roleUnprivileged, path, locks, "read-write", strconv.Itoa(nobody))
			p.read("ready")
			p.proceed()
			if said := p.read("denied"); !strings.HasPrefix(said, "1 1 ") || !strings.Contains(said, dir) && !strings.Contains(said, path) {
				t.Errorf("Add in a read-only directory: %s", said)
			} else {
				t.Log(said)
			}
			if string(mustRead(t, path)) != content || fmt.Sprint(list(t, dir)) != fmt.Sprint(names) {
				t.Errorf("the directory holds %q, want %q, and the file %q", list(t, dir), names, mustRead(t, path))
			}
			if err := os.Chmod(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			p.proceed()
			if said := p.read("added"); said != "2" {
				t.Errorf("Add in the directory made writable is revision %s, want 2", said)
			}
			p.wait()
		})
	}
}

// roleLimited adds machines until the limit on a file's size stops it, and once
// more without the limit.
var roleLimited = program("limited", func(args []string) error {
	// By default the kernel kills.
	signal.Ignore(syscall.SIGXFSZ)
	var old, limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_FSIZE, &old); err != nil {
		return err
	}
	limit = old
	limit.Cur = 20_000
	r, err := registry.OpenMachines(args[0], nil)
	if err != nil {
		return err
	}
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &limit); err != nil {
		return err
	}
	for i := 0; ; i++ {
		rev, err := r.Add(context.Background(), machineOf(fmt.Sprintf("m-%04d", i)))
		if err == nil {
			fmt.Printf("added %d\n", rev)
			continue
		}
		fmt.Printf("failed %t %d %d %v\n", errors.Is(err, syscall.EFBIG), r.Revision(), r.Len(), err)
		if err := awaitParent(); err != nil {
			return err
		}
		break
	}
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &old); err != nil {
		return err
	}
	rev, err := r.Add(context.Background(), machineOf("last"))
	fmt.Printf("last %d %v\n", rev, err)
	return r.Close()
})

func TestFileSizeLimit(t *testing.T) {
	path := newPath(t)
	p := startChild(t, roleLimited, path)
	var acked int
	line, ok := p.line()
	for ; ok && strings.HasPrefix(line, "added "); line, ok = p.line() {
		acked++
	}
	t.Logf("after %d adds: %s", acked, line)
	if want := fmt.Sprintf("failed true %d %d ", acked, acked+1); !strings.HasPrefix(line, want) || !strings.Contains(line, path) || acked == 0 {
		t.Errorf("child says %q, want %q and the path", line, want)
	}
	raw := mustParse(t, path)
	if err := raw.addsOnly(); err != nil || raw.Revision != uint64(acked) {
		t.Errorf("file is at revision %d, want %d: %v", raw.Revision, acked, err)
	}
	noTemporaries(t, filepath.Dir(path))
	p.proceed()
	if got, want := p.read("last"), fmt.Sprintf("%d <nil>", acked+1); got != want {
		t.Errorf("add without the limit = %s, want %s", got, want)
	}
	p.wait()
}

// A user who may not write the directory, nor anything in it, reads on.
func TestReadOnlyRegistryInReadOnlyDirectory(t *testing.T) {
	dir := reachable(t)
	path := filepath.Join(dir, "machines.json")
	add(t, open(t, path, nil), "a", "b")
	if err := os.Chmod(dir, 0o555); err != nil {
		t.Fatal(err)
	}
	defer os.Chmod(dir, 0o755)
	before, content := list(t, dir), string(mustRead(t, path))
	p := startChild(t, roleUnprivileged, path, "", "read-only", strconv.Itoa(nobody))
	p.read("ready")
	p.proceed()
	if said := p.read("readonly"); said != "2 2 3" {
		t.Errorf("Add is refused at revision, now at, with machines: %s, want 2 2 3", said)
	}
	p.wait()
	if fmt.Sprint(list(t, dir)) != fmt.Sprint(before) || string(mustRead(t, path)) != content {
		t.Errorf("the directory holds %q, want %q", list(t, dir), before)
	}
}
