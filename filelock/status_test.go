package filelock_test

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/machreg/machreg/filelock"
)

func checkStatus(t *testing.T, l *filelock.Lock, hold filelock.Hold, text string) filelock.Status {
	t.Helper()
	s, err := l.Status()
	if err != nil || s.Hold != hold || !strings.Contains(s.String(), text) {
		t.Errorf("Status() = %v %q, %v, want %v, %q", s.Hold, s.String(), err, hold, text)
	}
	return s
}

func TestStatus(t *testing.T) {
	l := newLock(t, nil)
	if s := checkStatus(t, l, filelock.NotHeld, "free"); s.Exists || s.String() != "free" {
		t.Errorf("Status() of a lock that was never taken = %+v %q", s, s.String())
	}
	if _, err := os.Lstat(l.Path()); err == nil {
		t.Errorf("Status made %q", l.Path())
	}

	writer := startHolder(t, l.Path(), "exclusive")
	if s := checkStatus(t, l, filelock.HeldExclusively, "held exclusively by pid "); !s.Exists || !s.Recorded || len(s.Holders) != 1 ||
		s.Holders[0].Program != "child hold" || s.Holders[0].PID != writer.cmd.Process.Pid || s.Left != nil {
		t.Errorf("Status() = %+v, want the child as recorded holder", s)
	}
	writer.wait()
	if s := checkStatus(t, l, filelock.NotHeld, "the file is left"); !s.Exists || s.Left != nil {
		t.Errorf("Status() = %+v, want a file that is left", s)
	}

	// A holder that dies leaves its record and no lock.
	writer = startHolder(t, l.Path(), "exclusive")
	writer.cmd.Process.Kill()
	writer.cmd.Wait()
	if s := checkStatus(t, l, filelock.NotHeld, "free; last held by pid "); s.Left == nil || len(s.Holders) != 0 {
		t.Errorf("Status() = %+v, want the record of the one that died", s)
	}

	// A record that names a living process, which holds nothing.
	record := filelock.EncodeRecord(filelock.Holder{PID: os.Getpid(), Host: "another-host.invalid", Program: "p", Since: time.Now()})
	if err := os.WriteFile(l.Path()+filelock.HolderSuffix, record, 0o644); err != nil {
		t.Fatal(err)
	}
	checkStatus(t, l, filelock.NotHeld, "free; pid ")

	// Readers leave no record; what is there is of somebody else.
	first, second := startHolder(t, l.Path(), "shared"), startHolder(t, l.Path(), "shared")
	if s := checkStatus(t, l, filelock.HeldShared, "held shared by "); s.Recorded {
		t.Errorf("Status() = %+v, want no recorded holder", s)
	}
	first.wait()
	checkStatus(t, l, filelock.HeldShared, "held shared by ")
	second.wait()
	checkStatus(t, l, filelock.NotHeld, "free")
}

func TestStatusOfHolderWithoutRecord(t *testing.T) {
	l := newLock(t, nil)
	mustUnlock(t, mustLock(t, l))
	other := startChild(t, "flock", l.Path())
	other.read("locked")
	if s := checkStatus(t, l, filelock.HeldExclusively, "it left no record"); s.Recorded {
		t.Errorf("Status() = %+v, want no recorded holder", s)
	}
	other.wait()
	checkStatus(t, l, filelock.NotHeld, "free")
}

func TestStatusOfNoLock(t *testing.T) {
	l := newLock(t, nil)
	if err := os.MkdirAll(l.Path(), 0o755); err != nil {
		t.Fatal(err)
	}
	if s, err := l.Status(); !errors.Is(err, filelock.ErrUnsafe) {
		t.Errorf("Status() of a directory = %+v, %v, want ErrUnsafe", s, err)
	}
}

func TestStatusText(t *testing.T) {
	pid1 := filelock.Holder{PID: 1, Program: "p", Host: "h"}
	gone := filelock.Holder{PID: 2, Program: "q", Host: "h", Alive: filelock.NotRunning}
	for _, tt := range []struct {
		status filelock.Status
		want   string
	}{
		{filelock.Status{Hold: filelock.NotHeld}, "free"},
		{filelock.Status{Hold: filelock.NotHeld, Exists: true, Doubt: "on NFS,\nthey say"}, `free: no program holds it; the file is left from the last one that did; on NFS,\x0athey say`},
		{filelock.Status{Hold: filelock.NotHeld, Left: &gone}, "free; last held by pid 2 (q) on h, which is not running"},
		{filelock.Status{Hold: filelock.NotHeld, Left: &pid1}, "free; pid 1 (p) on h left its record"},
		{filelock.Status{Hold: filelock.HeldExclusively, Holders: []filelock.Holder{pid1}, Recorded: true}, "held exclusively by pid 1 (p) on h"},
		{filelock.Status{Hold: filelock.HeldExclusively, Holders: []filelock.Holder{pid1}, Left: &gone}, "held exclusively by pid 1 (p) on h; it left no record"},
		{filelock.Status{Hold: filelock.HeldExclusively}, "held exclusively by a program that cannot be seen from here; it left no record"},
		{filelock.Status{Hold: filelock.HeldShared, Holders: []filelock.Holder{pid1, gone}}, "held shared by pid 1 (p) on h, and by pid 2 (q) on h, which is not running; a process that it started keeps the file open"},
		{filelock.Status{Hold: filelock.HeldShared}, "held shared by programs that cannot be seen from here"},
		{filelock.Status{Doubt: "permission denied"}, "it cannot be told who holds it; permission denied"},
	} {
		if got := tt.status.String(); got != tt.want {
			t.Errorf("String() of %+v = %q, want %q", tt.status, got, tt.want)
		}
	}
}
