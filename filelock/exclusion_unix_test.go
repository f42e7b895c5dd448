//go:build unix

package filelock_test

import (
	"errors"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/machreg/machreg/filelock"
)

func TestStoppedHolderIsNamedNotRobbed(t *testing.T) {
	l := newLock(t, nil)
	holder := startHolder(t, l.Path(), "exclusive")
	if err := holder.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS == "linux" {
		eventually(t, "the holder to stop", func() bool {
			h, err := l.Holder()
			return err == nil && h.Alive == filelock.Stopped
		})
	}
	_, err := l.LockTimeout(t.Context(), 50*time.Millisecond)
	var timeout *filelock.TimeoutError
	if !errors.As(err, &timeout) || timeout.Holder == nil || timeout.Holder.PID != holder.cmd.Process.Pid {
		t.Fatalf("Lock = %v, want a timeout that names pid %d", err, holder.cmd.Process.Pid)
	}
	if runtime.GOOS == "linux" && !strings.HasSuffix(err.Error(), ", stopped") {
		t.Errorf("Lock = %q, want it to say that the holder is stopped", err)
	}
	if err := holder.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	holder.wait()
	mustUnlock(t, mustLock(t, l))
}
