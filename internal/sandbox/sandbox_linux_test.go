package sandbox_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/machreg/machreg/internal/sandbox"
)

func TestMounts(t *testing.T) {
	if !sandbox.Enter(t, sandbox.Mounts) {
		return
	}
	dir := t.TempDir()
	sandbox.Mount(t, "none", dir, "tmpfs", 0, "size=1m")
	if mounts, err := os.ReadFile("/proc/self/mountinfo"); err != nil || !strings.Contains(string(mounts), dir) {
		t.Errorf("%q is not among the mounts (%v)", dir, err)
	}
}

func TestUsers(t *testing.T) {
	if !sandbox.Enter(t, sandbox.Users) {
		return
	}
	dir := sandbox.OpenDir(t)
	if err := os.Chown(dir, 1234, 4321); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sh", "-c", "id -u; id -g; id -G; echo mine >"+filepath.Join(dir, "file"))
	sandbox.As(cmd, 1234, 4321)
	if out, err := cmd.CombinedOutput(); err != nil || string(out) != "1234\n4321\n4321\n" {
		t.Errorf("as another user: %v: %q", err, out)
	}
}
