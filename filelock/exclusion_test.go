package filelock_test

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/machreg/machreg/filelock"
)

func removeAll(t testing.TB, dir string) {
	t.Helper()
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
}

// needDeletesOfOpenFiles skips a test in which a file is deleted that is locked.
func needDeletesOfOpenFiles(t testing.TB) {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("NOT TESTED: Windows does not delete a file that is open as lock files are")
	}
}

func TestExclusionBetweenProcesses(t *testing.T) {
	for _, tt := range []struct {
		first, second string
		together      bool
	}{
		{"exclusive", "exclusive", false},
		{"exclusive", "shared", false},
		{"shared", "exclusive", false},
		{"shared", "shared", true},
	} {
		t.Run(tt.first+" "+tt.second, func(t *testing.T) {
			path := newLock(t, nil).Path()
			first := startHolder(t, path, tt.first)
			second := startChild(t, "hold", path, tt.second, "100ms")
			second.read("acquiring")
			if tt.together {
				second.read("held")
			} else {
				second.read("error")
			}
			first.wait()
			second.wait()
		})
	}
}

// TestWaitingProcess lets a process wait for a lock that is held for five
// seconds: it must not spin, and it must take over.
func TestWaitingProcess(t *testing.T) {
	t.Parallel()
	const hold = 5 * time.Second
	l := newLock(t, &filelock.Options{Program: "machreg apply"})
	start := time.Now()
	h := mustLock(t, l)
	waiter := startChild(t, "hold", l.Path(), "exclusive", "30s")
	waiter.read("acquiring")
	impatient := startChild(t, "hold", l.Path(), "exclusive", "1s")
	impatient.read("acquiring")

	host := must[string](t)(os.Hostname())
	message := impatient.read("error")
	want := fmt.Sprintf("timed out after 1s waiting for lock %q: held by pid %d (machreg apply) on %s for ", l.Path(), os.Getpid(), host)
	if !strings.HasPrefix(message, want) {
		t.Errorf("timeout says %q, want %q…", message, want)
	}
	impatient.wait()

	time.Sleep(time.Until(start.Add(hold)))
	released := time.Now()
	mustUnlock(t, h)
	n := waiter.numbers("held")
	handover, waited, cpu := time.Duration(n[0]-released.UnixNano()), time.Duration(n[1]), time.Duration(n[2])
	t.Logf("handed over in %v after a wait of %v that took %v of CPU time; %s", handover, waited, cpu, message)
	if waited < hold/2 {
		t.Errorf("waited %v for a lock held for %v", waited, hold)
	}
	if cpu > waited/20 {
		t.Errorf("waiting for %v took %v of CPU time, want less than 5 %%", waited, cpu)
	}
	waiter.wait()
}

func TestKilledHolderFreesTheLock(t *testing.T) {
	l := newLock(t, nil)
	holder := startHolder(t, l.Path(), "exclusive")
	got := make(chan error)
	go func() {
		h, err := l.Lock(t.Context())
		if err == nil {
			err = h.Unlock()
		}
		got <- err
	}()
	awaitHelpers(t, l.Path())
	killed := time.Now()
	if err := holder.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := <-got; err != nil {
		t.Fatalf("Lock after the holder was killed: %v", err)
	}
	t.Logf("got the lock %v after the kill", time.Since(killed))
}

func TestDeadHolderIsNamed(t *testing.T) {
	l := newLock(t, nil)
	holder := startHolder(t, l.Path(), "exclusive")
	if err := holder.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	holder.cmd.Wait()
	got := must[filelock.Holder](t)(l.Holder())
	if got.PID != holder.cmd.Process.Pid || got.Alive != filelock.NotRunning {
		t.Errorf("Holder() = %+v, want pid %d, not running", got, holder.cmd.Process.Pid)
	}
	if s := got.String(); !strings.HasSuffix(s, " ago and is not running") {
		t.Errorf("a dead holder is called %q", s)
	}
	mustUnlock(t, mustLock(t, l))
	if got, err := l.Holder(); !errors.Is(err, filelock.ErrNoHolder) {
		t.Errorf("Holder() after an unlock = %+v, %v, want ErrNoHolder", got, err)
	}
}
