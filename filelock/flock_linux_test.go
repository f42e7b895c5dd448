package filelock_test

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/machreg/machreg/filelock"
)

// awaitBlocked waits until a call of the child's for the lock of the file at path
// sleeps in the kernel.
func (c *child) awaitBlocked(path string) {
	c.t.Helper()
	eventually(c.t, fmt.Sprintf("pid %d to wait for %s", c.pid(), path), func() bool {
		info, err := os.Stat(path)
		if err != nil {
			return false
		}
		inode := fmt.Sprintf(":%d", info.Sys().(*syscall.Stat_t).Ino)
		for line := range strings.Lines(string(must[[]byte](c.t)(os.ReadFile("/proc/locks")))) {
			f := strings.Fields(line)
			if len(f) > 6 && f[1] == "->" && f[2] == "FLOCK" && f[5] == fmt.Sprint(c.pid()) && strings.HasSuffix(f[6], inode) {
				return true
			}
		}
		return false
	})
}

func TestFlockHolder(t *testing.T) {
	path := newLock(t, nil).Path()
	if h, ok := filelock.FlockHolder(path); ok {
		t.Errorf("FlockHolder of a missing file = %+v, want none", h)
	}
	first := startHolder(t, path, "shared")
	second := startHolder(t, path, "shared")
	waiter := startWaiter(t, path, "exclusive")
	waiter.awaitBlocked(path)
	want := func(alive filelock.Liveness, pids ...int) {
		t.Helper()
		h, ok := filelock.FlockHolder(path)
		known := false
		for _, pid := range pids {
			known = known || h.PID == pid
		}
		if !ok || !known || h.Alive != alive || h.Program != "filelock.test" || !h.Since.IsZero() {
			t.Errorf("FlockHolder = %+v, %v, want filelock.test, %v, with one of the pids %d", h, ok, alive, pids)
		}
		if got, want := h.String(), fmt.Sprintf("pid %d (filelock.test) on %s", h.PID, h.Host); !strings.HasPrefix(got, want) ||
			strings.Contains(got, " for ") {
			t.Errorf("FlockHolder is called %q, want %q without a duration", got, want)
		}
	}
	want(filelock.Running, first.pid(), second.pid())
	second.stop()
	want(filelock.Stopped, second.pid())
	second.kill()
	want(filelock.Running, first.pid())
	first.kill()
	waiter.read("held")
	want(filelock.Running, waiter.pid())
	waiter.wait()
	if h, ok := filelock.FlockHolder(path); ok {
		t.Errorf("FlockHolder of a free file = %+v, want none", h)
	}
}

// TestSharedHolderIsNamed: readers leave no record.
func TestSharedHolderIsNamed(t *testing.T) {
	l := newLock(t, nil)
	reader := startHolder(t, l.Path(), "shared")
	_, err := l.TryLock()
	if want := fmt.Sprintf("held by pid %d (filelock.test) on ", reader.pid()); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("TryLock = %v, want an error that contains %q", err, want)
	}
	reader.wait()
}
