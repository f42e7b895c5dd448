package filelock_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/windows"

	"github.com/machreg/machreg/filelock"
)

// openSharing opens the file at path; share says what others may do meanwhile.
func openSharing(t *testing.T, path string, share uint32) windows.Handle {
	t.Helper()
	name, err := windows.UTF16PtrFromString(path)
	if err != nil {
		t.Fatal(err)
	}
	h, err := windows.CreateFile(name, windows.GENERIC_READ, share, nil, windows.OPEN_EXISTING, windows.FILE_ATTRIBUTE_NORMAL, 0)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// A lock file that cannot be opened because another process deletes it, or keeps
// others out, is waited for as a taken lock is.
func TestWaitsForRefusedOpen(t *testing.T) {
	const all = windows.FILE_SHARE_READ | windows.FILE_SHARE_WRITE | windows.FILE_SHARE_DELETE
	tests := []struct {
		name   string
		share  uint32
		delete bool
	}{
		{"not shared", 0, false},
		{"as a deletion has it", all &^ windows.FILE_SHARE_WRITE, false},
		{"deletion pending", all, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "r.lock")
			lock := filelock.New(path, nil)
			mustUnlock(t, mustLock(t, lock))
			h := openSharing(t, path, test.share)
			if test.delete {
				if err := os.Remove(path); err != nil {
					t.Fatal(err)
				}
				if f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600); err == nil {
					f.Close()
					windows.CloseHandle(h)
					t.Skip("NOT TESTED: here a deleted file has no name any more, though it is open")
				}
			}
			if _, err := lock.LockTimeout(t.Context(), 100*time.Millisecond); !errors.Is(err, filelock.ErrTimeout) {
				t.Errorf("LockTimeout = %v, want ErrTimeout", err)
			}
			type result struct {
				held *filelock.Held
				err  error
			}
			done := make(chan result)
			go func() {
				held, err := lock.LockTimeout(t.Context(), 30*time.Second)
				done <- result{held, err}
			}()
			if err := windows.CloseHandle(h); err != nil {
				t.Error(err)
			}
			if got := <-done; got.err != nil {
				t.Errorf("LockTimeout = %v after the file was closed", got.err)
			} else {
				mustUnlock(t, got.held)
			}
		})
	}
}
