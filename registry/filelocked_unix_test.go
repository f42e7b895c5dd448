//go:build linux || darwin || freebsd

package registry_test

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/machreg/machreg/internal/vfs"
	"github.com/machreg/machreg/internal/vfs/errorfs"
	"github.com/machreg/machreg/registry"
)

// A program that locks the registry file itself, as flock(1) does around a copy,
// is waited for, and named if it takes too long.
func TestRegistryFileLocked(t *testing.T) {
	for how, name := range map[int]string{syscall.LOCK_SH: "shared", syscall.LOCK_EX: "exclusively"} {
		t.Run(name, func(t *testing.T) {
			path := newPath(t)
			disk := errorfs.Wrap(vfs.OS)
			patient, hasty := open(t, path, &registry.Options{FS: disk}), open(t, path, &registry.Options{LockTimeout: 300 * time.Millisecond})
			add(t, patient, "one")
			f, err := os.Open(path)
			must(t, err)
			defer f.Close()
			must(t, syscall.Flock(int(f.Fd()), how))

			rev, err := hasty.Add(t.Context(), machineOf("two"))
			if !errors.Is(err, registry.ErrLockTimeout) || rev != 0 {
				t.Fatalf("Add = %d, %v, want ErrLockTimeout", rev, err)
			}
			if pid := fmt.Sprintf("pid %d", os.Getpid()); runtime.GOOS == "linux" && !strings.Contains(err.Error(), pid) || !strings.Contains(err.Error(), path) {
				t.Errorf("Add: %v, want it to name %q and %s", err, path, pid)
			}
			// The other one has prepared its write when the lock goes.
			prepared := make(chan struct{})
			disk.Before(func(op errorfs.Op) {
				if op.Kind == errorfs.Sync {
					close(prepared)
				}
			})
			done := make(chan error, 1)
			go func() {
				_, err := patient.Add(t.Context(), machineOf("two"))
				done <- err
			}()
			<-prepared
			must(t, syscall.Flock(int(f.Fd()), syscall.LOCK_UN))
			if err := <-done; err != nil {
				t.Error(err)
			}
			sees(t, hasty, "two")
		})
	}
}
