package filelock_test

import (
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/machreg/machreg/filelock"
)

// cycle lets three processes acquire, release and remove a lock file total times
// together, and returns how often two of them were inside at once.
func cycle(t *testing.T, check string, total int) (intruders int64) {
	t.Helper()
	dir := t.TempDir()
	path, occupied := filepath.Join(dir, "locks", "r.lock"), filepath.Join(dir, "occupied")
	const processes = 3
	var cs []*child
	for range processes {
		c := startChild(t, "cycle", path, occupied, check, strconv.Itoa((total+processes-1)/processes))
		c.read("ready")
		cs = append(cs, c)
	}
	for _, c := range cs {
		c.proceed()
	}
	for _, c := range cs {
		n := c.numbers("cycles")
		intruders += n[1]
		c.wait()
	}
	return intruders
}

func cycles() int {
	switch {
	case long():
		return 20_000
	case testing.Short():
		return 300
	}
	return 3_000
}

func TestRemovalNeverAdmitsTwo(t *testing.T) {
	n := cycles()
	if intruders := cycle(t, "checked", n); intruders != 0 {
		t.Errorf("two processes held the lock at once %d times in %d cycles", intruders, n)
	}
}

// TestRemovalWithoutIdentityCheckAdmitsTwo shows that TestRemovalNeverAdmitsTwo
// can fail.
func TestRemovalWithoutIdentityCheckAdmitsTwo(t *testing.T) {
	needDeletesOfOpenFiles(t)
	const n = 1000
	intruders := cycle(t, "unchecked", n)
	t.Logf("without the identity check, two processes were inside %d times in %d cycles", intruders, n)
	if intruders == 0 {
		t.Errorf("two processes were never inside at once in %d cycles; the detection is blind", n)
	}
}

func TestCleanStaleLocks(t *testing.T) {
	if removed, err := filelock.CleanStaleLocks(filepath.Join(t.TempDir(), "none")); err != nil || removed != nil {
		t.Errorf("CleanStaleLocks of a missing directory = %q, %v, want nothing", removed, err)
	}
	dir := filepath.Join(t.TempDir(), "locks")
	path := func(name string) string { return filepath.Join(dir, name) }
	for _, name := range []string{"b.lock", "a.lock", "other"} {
		mustUnlock(t, mustLock(t, filelock.New(path(name), nil)))
	}
	for _, name := range []string{"orphan.lock.queue", "orphan.lock.holder"} {
		if err := os.WriteFile(path(name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	writer := startHolder(t, path("writer.lock"), "exclusive")
	reader := startHolder(t, path("reader.lock"), "shared")
	mine := mustLock(t, filelock.New(path("mine.lock"), nil))
	defer mine.Unlock()

	removed := must[[]string](t)(filelock.CleanStaleLocks(dir))
	if len(removed) != 2 || removed[0] != path("a.lock") || removed[1] != path("b.lock") {
		t.Errorf("removed %q, want a.lock and b.lock", removed)
	}
	wantFiles(t, dir, "mine.lock", "mine.lock.holder", "mine.lock.queue",
		"other", "other.holder", "other.queue", "reader.lock", "reader.lock.queue",
		"writer.lock", "writer.lock.holder", "writer.lock.queue")
	for _, name := range []string{"writer.lock", "reader.lock"} {
		if _, err := filelock.New(path(name), nil).TryLock(); err == nil {
			t.Errorf("%s could be locked after cleaning, though another process holds it", name)
		}
	}
	writer.wait()
	reader.wait()
	removed = must[[]string](t)(filelock.CleanStaleLocks(dir))
	if len(removed) != 2 {
		t.Errorf("removed %q after the holders left, want reader.lock and writer.lock", removed)
	}
}

func TestCleanStaleLocksGoesOnAfterAnError(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "a.lock"), 0o700); err != nil {
		t.Fatal(err)
	}
	mustUnlock(t, mustLock(t, filelock.New(filepath.Join(dir, "b.lock"), nil)))
	removed, err := filelock.CleanStaleLocks(dir)
	if err == nil || len(removed) != 1 {
		t.Errorf("CleanStaleLocks = %q, %v, want b.lock removed and an error about a.lock", removed, err)
	}
}

// TestDirectoryDeletedMeanwhile deletes the lock directory and its parent over
// and over, so that some acquisition has either vanish between any two steps.
func TestDirectoryDeletedMeanwhile(t *testing.T) {
	top := filepath.Join(t.TempDir(), "top")
	lock := filelock.New(filepath.Join(top, "locks", "a.lock"), nil)
	stop := make(chan struct{})
	var removing sync.WaitGroup
	var removed atomic.Int64
	removing.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			if os.Remove(filepath.Join(top, "locks", "a.lock")) == nil {
				removed.Add(1)
			}
			os.RemoveAll(top)
		}
	})
	rounds := 2000
	if testing.Short() {
		rounds = 200
	}
	for n := 0; n < rounds || removed.Load() == 0 && n < 2000; n++ {
		held, err := lock.Lock(t.Context())
		if err != nil {
			t.Error(err)
			break
		}
		if err := held.Unlock(); err != nil {
			t.Error(err)
		}
	}
	close(stop)
	removing.Wait()
	if removed.Load() == 0 {
		t.Error("the directory was never deleted while the lock was there")
	}
}

// What a process leaves that died while it made one of the lock's files is removed
// by a holder, and nothing else is.
func TestSweep(t *testing.T) {
	dir := t.TempDir()
	l := filelock.New(filepath.Join(dir, "r.lock"), &filelock.Options{Like: dir})
	stay := []string{"other.lock.1.tmp", "r.lock", "r.lock.holder", "r.lock.queue", "r.locked.tmp"}
	for _, name := range []string{"r.lock.1.tmp", "r.lock.holder.2.tmp", "r.lock.queue.3.tmp", stay[0], stay[4]} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	shared, err := l.RLock(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := shared.Sweep(); err != nil {
		t.Errorf("Sweep of a shared hold = %v, want <nil>", err)
	}
	mustUnlock(t, shared)
	if _, err := os.Lstat(filepath.Join(dir, "r.lock.1.tmp")); err != nil {
		t.Errorf("a shared hold swept: %v", err)
	}
	held := mustLock(t, l)
	if err := held.Sweep(); err != nil {
		t.Errorf("Sweep = %v, want <nil>", err)
	}
	wantFiles(t, dir, stay...)
	mustUnlock(t, held)
}
