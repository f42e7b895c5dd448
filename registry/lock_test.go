package registry_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/machreg/machreg/filelock"
	"github.com/machreg/machreg/registry"
)

// roleHold holds the registry's write lock, by an update that does not end,
// until it is told to let go.
var roleHold = program("hold", func(args []string) error {
	r, err := registry.OpenMachines(args[0], &registry.Options{Program: "child holder"})
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
			_, err := r.Add(context.Background(), generation("contended", int(tx.Revision())+1))
			return err
		}
		fmt.Println("held")
		if err := awaitParent(); err != nil {
			return err
		}
		return tx.Put("held", machineOf("held"))
	})
	return errors.Join(err, r.Close())
})

// startHolder starts a process that holds the lock of the registry at path.
func startHolder(t testing.TB, path string) *child {
	t.Helper()
	p := startChild(t, roleHold, path)
	p.read("held")
	return p
}

func TestLockTimeoutNamesHolder(t *testing.T) {
	path := newPath(t)
	for _, c := range []struct {
		name    string
		timeout time.Duration
	}{
		{"200ms", 200 * time.Millisecond},
		{"at once", filelock.NoWait},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := open(t, path, &registry.Options{LockTimeout: c.timeout})
			p := startHolder(t, path)
			if err := r.Refresh(t.Context()); err != nil {
				t.Fatal(err)
			}
			before, at := string(mustRead(t, path)), r.Revision()
			start := time.Now()
			rev, err := r.Add(t.Context(), machineOf("late"))
			waited := time.Since(start)
			if !errors.Is(err, registry.ErrLockTimeout) || rev != 0 {
				t.Fatalf("Add while another process holds the lock = %d, %v, want ErrLockTimeout", rev, err)
			}
			for _, want := range []string{"pid " + strconv.Itoa(p.cmd.Process.Pid), "child holder"} {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q does not say %q", err, want)
				}
			}
			// Longer is the machine's business, shorter would be ours.
			if waited < c.timeout {
				t.Errorf("gave up after %v, want %v", waited, c.timeout)
			}
			if got := string(mustRead(t, path)); got != before || r.Revision() != at {
				t.Errorf("a write that timed out changed revision %d to %d, the file to %s", at, r.Revision(), got)
			}
			if _, err := r.Get("late"); !errors.Is(err, registry.ErrNotFound) {
				t.Errorf("Get of what was not added = %v", err)
			}
			p.proceed()
			p.wait()
			add(t, r, "late "+c.name)
		})
	}
}

func TestCancelWhileWaiting(t *testing.T) {
	path := newPath(t)
	r := open(t, path, nil)
	p := startHolder(t, path)
	if err := r.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	before, at := string(mustRead(t, path)), r.Revision()
	cause := errors.New("changed my mind")
	ctx, cancel := context.WithCancelCause(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := r.Add(ctx, machineOf("late"))
		ended <- err
	}()
	cancel(cause)
	if err := <-ended; !errors.Is(err, cause) {
		t.Errorf("Add after its context was cancelled = %v, want %v", err, cause)
	}
	deadline, cancelDeadline := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancelDeadline()
	if _, err := r.Add(deadline, machineOf("late")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Add with a deadline = %v, want DeadlineExceeded", err)
	}
	if got := string(mustRead(t, path)); got != before || r.Revision() != at {
		t.Errorf("a write that was given up changed revision %d to %d, the file to %s", at, r.Revision(), got)
	}
	p.proceed()
	p.wait()
	// Nothing of what was given up is left in line.
	rev := add(t, r, "next")
	if want := at + 2; rev != want { // the holder's and this one
		t.Errorf("next add is revision %d, want %d", rev, want)
	}
}

func TestKilledHolderFreesLock(t *testing.T) {
	path := newPath(t)
	r := open(t, path, nil)
	p := startHolder(t, path)
	ended := make(chan error, 1)
	go func() {
		_, err := r.Add(t.Context(), machineOf("next"))
		ended <- err
	}()
	p.cmd.Process.Signal(os.Kill)
	if err := <-ended; err != nil {
		t.Fatalf("Add after the holder was killed: %v", err)
	}
	if _, ok := mustParse(t, path).Machines["held"]; ok {
		t.Error("the killed holder's write is in the file")
	}
}
