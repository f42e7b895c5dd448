package filelock_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/machreg/machreg/filelock"
)

func mkdir(t testing.TB, dir string) string {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// wantMissing demands that every acquisition says that a directory is missing.
func wantMissing(t *testing.T, l *filelock.Lock) {
	t.Helper()
	for name, acquire := range map[string]func(context.Context) (*filelock.Held, error){
		"Lock":    l.Lock,
		"RLock":   l.RLock,
		"TryLock": func(context.Context) (*filelock.Held, error) { return l.TryLock() },
	} {
		h, err := acquire(t.Context())
		if !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s = %v, want fs.ErrNotExist", name, err)
		}
		if err == nil {
			h.Unlock()
		}
	}
}

func TestBase(t *testing.T) {
	t.Run("exists", func(t *testing.T) {
		base := t.TempDir()
		l := filelock.New(filepath.Join(base, "a", "b", "r.lock"), &filelock.Options{Base: base})
		for range 2 {
			mustUnlock(t, mustLock(t, l))
			removeAll(t, filepath.Join(base, "a"))
		}
	})
	t.Run("missing", func(t *testing.T) {
		dir := t.TempDir()
		base := filepath.Join(dir, "base")
		l := filelock.New(filepath.Join(base, "locks", "r.lock"), &filelock.Options{Base: base})
		wantMissing(t, l)
		wantFiles(t, dir)
		mkdir(t, base)
		mustUnlock(t, mustLock(t, l))
		removeAll(t, base)
		wantMissing(t, l)
		wantFiles(t, dir)
	})
	t.Run("elsewhere", func(t *testing.T) {
		dir, base := t.TempDir(), t.TempDir()
		locks := filepath.Join(dir, "locks")
		l := filelock.New(filepath.Join(locks, "r.lock"), &filelock.Options{Base: base})
		wantMissing(t, l)
		wantFiles(t, dir)
		mkdir(t, locks)
		mustUnlock(t, mustLock(t, l))
	})
	t.Run("is the lock directory", func(t *testing.T) {
		base := filepath.Join(t.TempDir(), "base")
		l := filelock.New(filepath.Join(base, "r.lock"), &filelock.Options{Base: base})
		wantMissing(t, l)
		mkdir(t, base)
		mustUnlock(t, mustLock(t, l))
	})
	t.Run("relative", func(t *testing.T) {
		dir := t.TempDir()
		t.Chdir(dir)
		l := filelock.New(filepath.Join("locks", "r.lock"), &filelock.Options{Base: "."})
		t.Chdir(t.TempDir())
		mustUnlock(t, mustLock(t, l))
		wantFiles(t, dir, "locks")
	})
}
