//go:build unix

package filelock_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/machreg/machreg/filelock"
)

// TestBaseMovedMeanwhile moves the base away and back over and over, so that some
// acquisition has it vanish between any two steps. What has been moved away is not
// made again.
func TestBaseMovedMeanwhile(t *testing.T) {
	dir := t.TempDir()
	base, away := filepath.Join(dir, "base"), filepath.Join(dir, "away")
	mkdir(t, base)
	l := filelock.New(filepath.Join(base, "a", "b", "r.lock"), &filelock.Options{Base: base})
	stop := make(chan struct{})
	var moving sync.WaitGroup
	moving.Go(func() {
		rounds := 0
		for {
			select {
			case <-stop:
				return
			default:
			}
			if err := os.Rename(base, away); err != nil {
				t.Error(err)
				return
			}
			os.RemoveAll(filepath.Join(away, "a"))
			runtime.Gosched()
			if exists(t, base) {
				t.Error("the base was made again after it had been moved away")
				return
			}
			if err := os.Rename(away, base); err != nil {
				t.Error(err)
				return
			}
			if rounds++; rounds%2 == 0 {
				time.Sleep(time.Millisecond) // as long as an acquisition takes on a busy machine
			}
		}
	})
	locked, missing := 0, 0
	for n := 0; n < 2000 || locked == 0 || missing == 0; n++ {
		h, err := l.Lock(t.Context())
		switch {
		case err == nil:
			locked++
			mustUnlock(t, h)
		case errors.Is(err, fs.ErrNotExist):
			missing++
		default:
			t.Fatal(err)
		}
	}
	close(stop)
	moving.Wait()
	t.Logf("locked %d times, base missing %d times", locked, missing)
}
