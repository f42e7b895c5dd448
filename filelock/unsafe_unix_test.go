//go:build unix && !aix

package filelock_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/machreg/machreg/filelock"
)

// wantRefused demands that every way to acquire or clean the lock is refused, and
// soon.
func wantRefused(t *testing.T, path, why string) {
	t.Helper()
	l := filelock.New(path, nil)
	for name, acquire := range map[string]func() (*filelock.Held, error){
		"Lock":    func() (*filelock.Held, error) { return l.Lock(t.Context()) },
		"TryLock": l.TryLock,
	} {
		h, err := acquire()
		if !errors.Is(err, filelock.ErrUnsafe) || !strings.Contains(err.Error(), why) {
			t.Errorf("%s = %v, want ErrUnsafe with %q", name, err, why)
		}
		if err == nil {
			h.Unlock()
		}
	}
}

func TestUnsafeFilesAreRefused(t *testing.T) {
	for _, suffix := range []string{"", filelock.QueueSuffix, filelock.HolderSuffix} {
		for _, tt := range []struct {
			name  string
			plant func(path, outside string) error
			why   string
		}{
			{"link to file", func(path, outside string) error { return os.Symlink(outside, path) }, "a symbolic link"},
			{"dangling link", func(path, outside string) error { return os.Symlink(outside+"-new", path) }, "a symbolic link"},
			{"directory", func(path, _ string) error { return os.Mkdir(path, 0o755) }, "a directory"},
			{"pipe", func(path, _ string) error { return unix.Mkfifo(path, 0o666) }, "a named pipe"},
		} {
			t.Run("r.lock"+suffix+" "+tt.name, func(t *testing.T) {
				dir := t.TempDir()
				path, outside := filepath.Join(dir, "r.lock"), filepath.Join(t.TempDir(), "outside")
				if err := os.WriteFile(outside, []byte("precious"), 0o644); err != nil {
					t.Fatal(err)
				}
				if err := tt.plant(path+suffix, outside); err != nil {
					t.Fatal(err)
				}
				if suffix == filelock.QueueSuffix {
					if _, err := filelock.New(path, nil).Lock(t.Context()); !errors.Is(err, filelock.ErrUnsafe) ||
						!strings.Contains(err.Error(), tt.why) {
						t.Errorf("Lock = %v, want ErrUnsafe with %q", err, tt.why)
					}
				} else {
					wantRefused(t, path, tt.why)
				}
				if suffix == "" {
					if _, err := filelock.New(path, nil).RLock(t.Context()); !errors.Is(err, filelock.ErrUnsafe) {
						t.Errorf("RLock = %v, want ErrUnsafe", err)
					}
					if _, err := filelock.CleanStaleLocks(dir); !errors.Is(err, filelock.ErrUnsafe) {
						t.Errorf("CleanStaleLocks = %v, want ErrUnsafe", err)
					}
				}
				if got := must[[]byte](t)(os.ReadFile(outside)); string(got) != "precious" {
					t.Errorf("the file outside holds %q now", got)
				}
				wantFiles(t, filepath.Dir(outside), "outside")
			})
		}
	}
}

func TestUnsafeDirectoriesAreRefused(t *testing.T) {
	t.Run("link", func(t *testing.T) {
		dir, outside := t.TempDir(), t.TempDir()
		if err := os.Symlink(outside, filepath.Join(dir, "locks")); err != nil {
			t.Fatal(err)
		}
		wantRefused(t, filepath.Join(dir, "locks", "r.lock"), "a symbolic link, not a directory")
		if _, err := filelock.CleanStaleLocks(filepath.Join(dir, "locks")); !errors.Is(err, filelock.ErrUnsafe) {
			t.Errorf("CleanStaleLocks = %v, want ErrUnsafe", err)
		}
		wantFiles(t, outside)
	})
	t.Run("file", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "locks")
		if err := os.WriteFile(file, nil, 0o644); err != nil {
			t.Fatal(err)
		}
		wantRefused(t, filepath.Join(file, "r.lock"), "a regular file, not a directory")
	})
	t.Run("writable by others", func(t *testing.T) {
		dir := t.TempDir()
		chmod(t, dir, 0o777)
		wantRefused(t, filepath.Join(dir, "r.lock"), "writable by others and not sticky")
		if _, err := filelock.CleanStaleLocks(dir); !errors.Is(err, filelock.ErrUnsafe) {
			t.Errorf("CleanStaleLocks = %v, want ErrUnsafe", err)
		}
		wantFiles(t, dir)
		chmod(t, dir, 0o777|os.ModeSticky)
		mustUnlock(t, mustLock(t, filelock.New(filepath.Join(dir, "r.lock"), nil)))
	})
	t.Run("made unsafe in use", func(t *testing.T) {
		l := newLock(t, nil)
		mustUnlock(t, mustLock(t, l))
		chmod(t, filepath.Dir(l.Path()), 0o777)
		if _, err := l.Lock(t.Context()); !errors.Is(err, filelock.ErrUnsafe) {
			t.Errorf("Lock = %v, want ErrUnsafe", err)
		}
		if err := l.Close(); !errors.Is(err, filelock.ErrUnsafe) {
			t.Errorf("Close = %v, want ErrUnsafe", err)
		}
	})
}

func chmod(t *testing.T, path string, mode os.FileMode) {
	t.Helper()
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

// TestPlantedAncestor: in a directory for everybody, somebody has made the parent
// of the lock directory a link to a place of the victim's.
func TestPlantedAncestor(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("NOT TESTED: making a link of another user takes root")
	}
	common, outside := t.TempDir(), t.TempDir()
	chmod(t, common, 0o777|os.ModeSticky)
	link := filepath.Join(common, ".gastown")
	if err := os.Symlink(outside, link); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(link, "locks", "r.lock")
	own := filelock.New(path, nil)
	mustUnlock(t, mustLock(t, own))
	if err := own.Close(); err != nil {
		t.Fatal(err)
	}
	removeAll(t, filepath.Join(outside, "locks"))

	if err := os.Lchown(link, 12345, 12345); err != nil {
		t.Fatal(err)
	}
	wantRefused(t, path, "made by another user")
	wantFiles(t, outside)
	if err := os.Mkdir(filepath.Join(outside, "locks"), 0o755); err != nil {
		t.Fatal(err)
	}
	wantRefused(t, path, "made by another user")
	wantFiles(t, filepath.Join(outside, "locks"))
}

func TestPermissionsFollowUmask(t *testing.T) {
	old := syscall.Umask(0o027)
	defer syscall.Umask(old)
	l := newLock(t, nil)
	mustUnlock(t, mustLock(t, l))
	for path, want := range map[string]os.FileMode{
		filepath.Dir(l.Path()):           0o750 | os.ModeDir,
		l.Path():                         0o640,
		l.Path() + filelock.QueueSuffix:  0o640,
		l.Path() + filelock.HolderSuffix: 0o640,
	} {
		if got := must[os.FileInfo](t)(os.Lstat(path)).Mode(); got != want {
			t.Errorf("mode of %s = %v, want %v", path, got, want)
		}
	}
}

// asOtherUser returns a directory that is closed to no user, and a function that
// starts a child program there as a user who is not us.
func asOtherUser(t *testing.T) (dir string, startOther func(role string, args ...string) *child) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("NOT TESTED: becoming another user takes root")
	}
	// A directory of its own, because those of the tests are closed to others.
	dir = must[string](t)(os.MkdirTemp("", "filelock"))
	t.Cleanup(func() { removeAll(t, dir) })
	chmod(t, dir, 0o755)
	program := filepath.Join(dir, "program")
	if err := os.WriteFile(program, must[[]byte](t)(os.ReadFile(must[string](t)(os.Executable()))), 0o755); err != nil {
		t.Fatal(err)
	}
	return dir, func(role string, args ...string) *child {
		cmd := exec.Command(program, args...)
		cmd.Dir = dir
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		return start(t, cmd, role)
	}
}

// TestOtherUser locks as a user who may only read the lock file.
func TestOtherUser(t *testing.T) {
	dir, startOther := asOtherUser(t)
	path := filepath.Join(dir, "r.lock")
	mustUnlock(t, mustLock(t, filelock.New(path, nil)))
	for mode, want := range map[string]string{"exclusive": "error", "shared": "held"} {
		c := startOther("hold", "r.lock", mode, "1s")
		c.read("acquiring")
		if got := c.read(want); want == "error" && !strings.Contains(got, "permission denied") {
			t.Errorf("%s lock by a user who may only read: %s, want permission denied", mode, got)
		}
		if want == "held" {
			if _, err := filelock.New(path, nil).LockTimeout(t.Context(), time.Millisecond); !errors.Is(err, filelock.ErrTimeout) {
				t.Errorf("Lock beside a shared holder who may only read = %v, want ErrTimeout", err)
			}
		}
		c.wait()
	}
}

// TestCloseMayNotRemove: leaving the files is no fault, whatever it is that
// another user may not do.
func TestCloseMayNotRemove(t *testing.T) {
	for _, tt := range []struct {
		name            string
		dirMode, mode   os.FileMode
		parentMode      os.FileMode
		companionsOther bool
	}{
		{"may not open the file", 0o755, 0o600, 0o755, false},
		{"may read the file", 0o755, 0o644, 0o755, false},
		{"may write the file", 0o755, 0o666, 0o755, false},
		{"may not remove others' files", 0o777 | os.ModeSticky, 0o666, 0o755, false},
		{"may not search the directory", 0o700, 0o666, 0o755, false},
		{"may not search its parent", 0o755, 0o666, 0o700, false},
		{"may remove the lock but not its companions", 0o777 | os.ModeSticky, 0o666, 0o755, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir, startOther := asOtherUser(t)
			path := filepath.Join(dir, "parent", "locks", "r.lock")
			mustUnlock(t, mustLock(t, filelock.New(path, nil)))
			for _, suffix := range []string{"", filelock.QueueSuffix, filelock.HolderSuffix} {
				chmod(t, path+suffix, tt.mode)
			}
			if tt.companionsOther {
				if err := os.Chown(path, 65534, 65534); err != nil {
					t.Fatal(err)
				}
			}
			chmod(t, filepath.Dir(path), tt.dirMode)
			chmod(t, filepath.Join(dir, "parent"), tt.parentMode)
			c := startOther("close", path)
			if got := c.read("closed"); got != "<nil>" {
				t.Errorf("Close = %s, want <nil>", got)
			}
			c.wait()
			if left := exists(t, path); left == tt.companionsOther {
				t.Errorf("the lock file is there = %v, want %v", left, !tt.companionsOther)
			}
			mustUnlock(t, must[*filelock.Held](t)(filelock.New(path, nil).TryLock()))
		})
	}
}
