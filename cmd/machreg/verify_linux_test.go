package main

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/machreg/machreg/internal/sandbox"
)

// ends runs the program and returns what it prints.
func ends(t *testing.T, want int, args ...string) (stdout, stderr string) {
	t.Helper()
	var out, err bytes.Buffer
	if got := run(t.Context(), args, strings.NewReader(""), &out, &err); got != want {
		t.Errorf("machreg %q ends with %d, want %d:\n%s%s", args, got, want, &out, &err)
	}
	return out.String(), err.String()
}

// says demands a line of a report.
func says(t *testing.T, output, pattern string) {
	t.Helper()
	if !regexp.MustCompile(pattern).MatchString(output) {
		t.Errorf("there is no %q in\n%s", pattern, output)
	}
}

// written makes a registry in a directory of its own.
func written(t *testing.T) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "registry", "machines.json")
	ends(t, exitDone, "-f", path, "add", "a", "--host", "a")
	return path
}

// everything lists what is below a directory.
func everything(t *testing.T, dir string) (paths []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		paths = append(paths, path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return paths
}

// Where a registry cannot be written, verify says why, and so does add.
func TestVerifyRefused(t *testing.T) {
	for _, test := range []struct {
		name       string
		prepare    func(t *testing.T, path string) (moved string)
		says, hint string // patterns
		readable   int    // the exit code of verify --read-only
	}{
		{"file mounted by itself", mountFile, `mount +.*is a mount point by itself`, `mount its directory`, exitDone},
		{"mounted file replaced", func(t *testing.T, path string) string {
			mounted := mountFile(t, path)
			ends(t, exitDone, "-f", path, "add", "b", "--host", "b")
			return mounted
		}, `mount +.*replaced outside of the mount`, `mount its directory`, exitError},
		{"read-only mount", func(t *testing.T, path string) string {
			dir := filepath.Dir(path)
			sandbox.Bind(t, dir, dir)
			if err := syscall.Mount("", dir, "", syscall.MS_REMOUNT|syscall.MS_BIND|syscall.MS_RDONLY, ""); err != nil {
				t.Fatal(err)
			}
			return path
		}, `read-only +.*mounted read-only`, `mount it for writing`, exitDone},
		{"full disk", func(t *testing.T, path string) string {
			dir := filepath.Dir(path)
			sandbox.Mount(t, "none", dir, "tmpfs", 0, "size=64k")
			ends(t, exitDone, "-f", path, "add", "a", "--host", "a")
			if err := os.WriteFile(filepath.Join(dir, "filler"), make([]byte, 1<<20), 0o644); !errors.Is(err, syscall.ENOSPC) {
				t.Fatalf("filling the disk: %v", err)
			}
			return path
		}, `space +.*no space left`, `free some`, exitDone},
	} {
		t.Run(test.name, func(t *testing.T) {
			if !sandbox.Enter(t, sandbox.Mounts) {
				return
			}
			path := test.prepare(t, written(t))
			before := everything(t, filepath.Dir(path))
			out, _ := ends(t, exitError, "-f", path, "verify")
			says(t, out, `refused +`+test.says)
			says(t, out, test.hint)
			says(t, out, `refused +write `)
			out, _ = ends(t, exitError, "-f", path, "verify", "-o", "json")
			says(t, out, `"writable": false`)
			if got := everything(t, filepath.Dir(path)); !slices.Equal(got, before) {
				t.Errorf("verify left %q, want %q", got, before)
			}
			ends(t, test.readable, "-f", path, "verify", "--read-only")
			ends(t, exitDone, "-f", path, "list")
			_, errors := ends(t, exitError, "-f", path, "add", "x", "--host", "x")
			says(t, errors, test.hint)
		})
	}
}

// mountFile makes the file appear in another directory, which is not mounted.
func mountFile(t *testing.T, path string) (mounted string) {
	t.Helper()
	mounted = filepath.Join(t.TempDir(), "machines.json")
	if err := os.WriteFile(mounted, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	sandbox.Bind(t, path, mounted)
	return mounted
}

// On a FUSE file system writes work, and locks do not reach everywhere.
func TestVerifyFUSE(t *testing.T) {
	if !sandbox.Enter(t, sandbox.Mounts) {
		return
	}
	bindfs, err := exec.LookPath("bindfs")
	if err != nil {
		t.Skipf("NOT TESTED: a FUSE file system takes bindfs: %v", err)
	}
	path, mounted := written(t), t.TempDir()
	cmd := exec.Command(bindfs, "-f", filepath.Dir(path), mounted)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		syscall.Unmount(mounted, syscall.MNT_DETACH)
		cmd.Process.Kill()
		<-ended
	})
	var st unix.Statfs_t
	for unix.Statfs(mounted, &st) != nil || uint32(st.Type) != unix.FUSE_SUPER_MAGIC {
		select {
		case err := <-ended:
			ended <- err
			t.Skipf("NOT TESTED: bindfs ends with %v", err)
		case <-time.After(time.Millisecond):
		}
	}
	out, _ := ends(t, exitError, "-f", filepath.Join(mounted, "machines.json"), "verify")
	says(t, out, `warning +file system +.*FUSE`)
	says(t, out, `ok +write `)
	ends(t, exitDone, "-f", filepath.Join(mounted, "machines.json"), "verify", "--read-only")
}
