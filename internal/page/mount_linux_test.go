package page_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/machreg/machreg/internal/page"
)

// These tests want a file system of their own: they run in a child that has a
// mount namespace, where it mounts a small tmpfs.
const childTest = "PAGE_TEST_CHILD"

var mounted = map[string]func(dir string) error{
	"nothing":   func(string) error { return nil },
	"full disk": fullDisk,
	"read-only": readOnly,
}

func TestMain(m *testing.M) {
	test, ok := mounted[os.Getenv(childTest)]
	if !ok {
		os.Exit(m.Run())
	}
	if err := test(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func runMounted(t *testing.T, name string) {
	t.Helper()
	run := func(name string) error {
		exe, err := os.Executable()
		if err != nil {
			return err
		}
		dir := t.TempDir()
		cmd := exec.Command(exe, dir)
		cmd.Env = append(os.Environ(), childTest+"="+name)
		cmd.SysProcAttr = &syscall.SysProcAttr{
			Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
			UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
		}
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%w: %s", err, bytes.TrimSpace(out))
		}
		return nil
	}
	if err := run("nothing"); err != nil {
		t.Skipf("NOT TESTED: no namespace to mount a file system in: %v", err)
	}
	if err := run(name); err != nil {
		t.Error(err)
	}
}

// On a full disk there is no page, and no obstacle to a write; once there is
// room there is a page.
func TestFullDisk(t *testing.T) { runMounted(t, "full disk") }

func fullDisk(dir string) error {
	if err := syscall.Mount("none", dir, "tmpfs", 0, "size=64k"); err != nil {
		return err
	}
	filler := filepath.Join(dir, "filler")
	if err := os.WriteFile(filler, make([]byte, 1<<20), 0o600); !errors.Is(err, syscall.ENOSPC) {
		return fmt.Errorf("filling the disk: %v", err)
	}
	p := page.New(filepath.Join(dir, "page"), 0)
	if err := p.Begin(page.Revision{Number: 1}); err != nil {
		return fmt.Errorf("Begin on a full disk: %w", err)
	}
	if m, _ := p.End(page.Published); m != nil {
		return fmt.Errorf("End on a full disk = %v, want nil", m)
	}
	if _, err := p.State(); !errors.Is(err, syscall.ENOSPC) {
		return fmt.Errorf("State on a full disk: %w, want no space", err)
	}
	if left, err := filepath.Glob(filepath.Join(dir, "page*")); len(left) > 0 || err != nil {
		return fmt.Errorf("left behind on a full disk: %q, %v", left, err)
	}
	if err := os.Remove(filler); err != nil {
		return err
	}
	if err := p.Begin(page.Revision{Number: 1}); err != nil {
		return err
	}
	if m, _ := p.End(page.Published); m == nil {
		return errors.New("no page when there is room again")
	}
	return nil
}

// A writer that cannot bump the page must not write; a reader can use it.
func TestPageNotWritable(t *testing.T) { runMounted(t, "read-only") }

func readOnly(dir string) error {
	if err := syscall.Mount("none", dir, "tmpfs", 0, ""); err != nil {
		return err
	}
	writable, sealed := filepath.Join(dir, "writable"), filepath.Join(dir, "sealed")
	if err := errors.Join(os.Mkdir(writable, 0o755), os.Mkdir(sealed, 0o755)); err != nil {
		return err
	}
	if err := page.New(filepath.Join(writable, "page"), 0).Create(); err != nil {
		return err
	}
	if err := syscall.Mount(writable, sealed, "", syscall.MS_BIND, ""); err != nil {
		return err
	}
	if err := syscall.Mount("", sealed, "", syscall.MS_REMOUNT|syscall.MS_BIND|syscall.MS_RDONLY, ""); err != nil {
		return err
	}
	path := filepath.Join(sealed, "page")
	p := page.New(path, 0)
	p.Check()
	if m := p.Mapping(); m == nil || m.Sequence()%2 != 0 {
		_, err := p.State()
		return fmt.Errorf("a page that cannot be written cannot be read: %w", err)
	}
	err := p.Begin(page.Revision{Number: 1})
	if !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), path) {
		return fmt.Errorf("Begin on a page that cannot be written: %w, want a permission error that names it", err)
	}
	return nil
}
