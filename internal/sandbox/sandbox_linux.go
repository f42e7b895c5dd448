package sandbox

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

const inside = "SANDBOX_TEST"

// Enter runs the calling test in a process of its own that has what need says,
// and returns true in that process. In the test's own process it returns false
// once the other has ended; the test then returns. It skips the test where
// there is no such process to be had.
func Enter(t *testing.T, need Need) bool {
	t.Helper()
	if os.Getenv(inside) == t.Name() {
		// Nothing that is mounted is to reach other namespaces.
		if err := syscall.Mount("none", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
			t.Fatalf("make mounts private: %v", err)
		}
		return true
	}
	if need == Users && os.Getuid() != 0 {
		t.Skip("NOT TESTED: other users are taken on by root only")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	try := namespaces(exec.Command("/proc/self/exe", "-test.run=^$"), need)
	if out, err := try.CombinedOutput(); err != nil {
		t.Skipf("NOT TESTED: no namespace to change mounts in: %v: %s", err, bytes.TrimSpace(out))
	}
	cmd := namespaces(exec.CommandContext(t.Context(), self, "-test.run=^"+t.Name()+"$", "-test.v", "-test.count=1"), need)
	cmd.Env = append(os.Environ(), inside+"="+t.Name())
	out, err := cmd.CombinedOutput()
	switch {
	case err != nil:
		t.Errorf("in the sandbox: %v\n%s", err, out)
	case bytes.Contains(out, []byte("--- SKIP: "+t.Name()+" ")):
		t.Skipf("in the sandbox:\n%s", out)
	case !bytes.Contains(out, []byte("--- PASS: "+t.Name()+" ")):
		t.Errorf("in the sandbox the test did not run:\n%s", out)
	default:
		t.Logf("in the sandbox:\n%s", out)
	}
	return false
}

func namespaces(cmd *exec.Cmd, need Need) *exec.Cmd {
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	if need == Mounts && os.Getuid() != 0 {
		Rootless(cmd, os.Geteuid(), os.Getegid())
	}
	return cmd
}

// Rootless has cmd start as root of a user namespace, which is uid and gid
// outside and knows no other id, as the processes of a rootless container.
func Rootless(cmd *exec.Cmd, uid, gid int) {
	a := attributes(cmd)
	a.Cloneflags |= syscall.CLONE_NEWUSER
	a.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: uid, Size: 1}}
	a.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: gid, Size: 1}}
	a.Credential = &syscall.Credential{NoSetGroups: true}
}

// As has cmd start as another user, whose first group is gid.
func As(cmd *exec.Cmd, uid, gid uint32, groups ...uint32) {
	attributes(cmd).Credential = &syscall.Credential{Uid: uid, Gid: gid, Groups: append(groups, gid)}
}

func attributes(cmd *exec.Cmd) *syscall.SysProcAttr {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	}
	return cmd.SysProcAttr
}

// Mount mounts a file system, to be unmounted when the test ends.
func Mount(t *testing.T, source, target, kind string, flags uintptr, data string) {
	t.Helper()
	if err := syscall.Mount(source, target, kind, flags, data); err != nil {
		t.Fatalf("mount %s (%s) on %q: %v", source, kind, target, err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(target, syscall.MNT_DETACH); err != nil {
			t.Errorf("unmount %q: %v", target, err)
		}
	})
}

// Bind makes what is at source appear at target too.
func Bind(t *testing.T, source, target string) {
	t.Helper()
	Mount(t, source, target, "", syscall.MS_BIND, "")
}

// OpenDir is a temporary directory that every user can reach.
func OpenDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for d := dir; d != filepath.Dir(d); d = filepath.Dir(d) {
		info, err := os.Stat(d)
		if err == nil && info.Mode()&0o011 == 0 {
			err = os.Chmod(d, info.Mode()|0o011)
		}
		if err != nil {
			t.Fatal(fmt.Errorf("let others into %q: %w", d, err))
		}
	}
	return dir
}
