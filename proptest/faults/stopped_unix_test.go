//go:build unix

package faults_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/machreg/machreg/registry"
)

// roleHold holds the registry's lock in the middle of a write, until it is told
// to go on.
var roleHold = program("hold", func(args []string) error {
	path := filepath.Join(args[0], "machines.json")
	r, err := registry.OpenMachines(path, &registry.Options{Program: "the stopped one"})
	if err != nil {
		return err
	}
	tries := 0
	_, err = r.Update(context.Background(), func(tx *registry.Tx[registry.Machine]) error {
		// Two conflicts make it run under the lock.
		if tries++; tries < 3 {
			if _, err := tx.Get("contended"); err != nil && !errors.Is(err, registry.ErrNotFound) {
				return err
			}
			m := machineOf("contended")
			m.TownPath = strings.Repeat("x", tries)
			_, err := r.Add(context.Background(), m)
			return err
		}
		fmt.Println("held")
		if _, err := bufio.NewReader(os.Stdin).ReadString('\n'); err != nil {
			return err
		}
		if err := tx.Put("contended", machineOf("contended")); err != nil {
			return err
		}
		return tx.Put("held", machineOf("held"))
	})
	fmt.Println("done")
	return errors.Join(err, r.Close())
})

// Row 10 of what a registry may meet: waiting for a stopped holder. It keeps
// its lock, for however long. Those that wait time out and say who it is; when
// it goes on, nothing was lost.
func TestHostile_StoppedHolder(t *testing.T) {
	err := inDirectory(func(dir string) {
		holder, err := startChild(roleHold, dir)
		if err != nil {
			t.Fatal(err)
		}
		defer holder.kill()
		if line, _ := holder.line(); line != "held" {
			t.Fatalf("holder says %q: %s", line, holder.err)
		}
		pid := holder.cmd.Process.Pid
		if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		awaitStopped(t, pid)
		path := filepath.Join(dir, "machines.json")
		lock := filepath.Join(dir, ".gastown", "locks", "machines.json.lock")
		before, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		was, err := os.Stat(lock)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 5 { // whatever they do after it: none steals
			r, err := registry.OpenMachines(path, &registry.Options{LockTimeout: 30 * time.Millisecond})
			if err != nil {
				t.Fatal(err)
			}
			_, err = r.Add(t.Context(), machineOf(fmt.Sprintf("thief-%d", i)))
			if !errors.Is(err, registry.ErrLockTimeout) {
				t.Errorf("Add while a stopped process holds the lock: %v, want ErrLockTimeout", err)
			} else {
				for _, want := range []string{fmt.Sprintf("pid %d", pid), "the stopped one", "stopped"} {
					if !strings.Contains(err.Error(), want) {
						t.Errorf("error %q does not say %q", err, want)
					}
				}
			}
			if _, err := r.Latest(t.Context()); err != nil {
				t.Errorf("Latest while a stopped process holds the lock: %v", err)
			}
			if err := r.Close(); err != nil {
				t.Error(err)
			}
		}
		if now, err := os.Stat(lock); err != nil || !os.SameFile(was, now) {
			t.Errorf("the lock file was replaced: %v", err)
		}
		if after, err := os.ReadFile(path); err != nil || string(after) != string(before) {
			t.Errorf("the file was changed under the holder: %s, %v", after, err)
		}
		if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(holder.stdin)
		if line, _ := holder.line(); line != "done" {
			t.Errorf("holder says %q: %s", line, holder.err)
		}
		if err := holder.cmd.Wait(); err != nil {
			t.Errorf("holder: %v: %s", err, holder.err)
		}
		if err := newLedger("contended", "held").checkAfter(dir); err != nil {
			t.Error(err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
}

// awaitStopped returns when the process is stopped.
func awaitStopped(t testing.TB, pid int) {
	t.Helper()
	var status syscall.WaitStatus
	if _, err := syscall.Wait4(pid, &status, syscall.WUNTRACED, nil); err != nil || !status.Stopped() {
		t.Fatalf("wait for process %d to stop: %v, %v", pid, status, err)
	}
}
