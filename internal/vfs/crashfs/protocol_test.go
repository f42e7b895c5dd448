package crashfs_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"

	"github.com/machreg/machreg/internal/vfs"
	"github.com/machreg/machreg/internal/vfs/crashfs"
	"github.com/machreg/machreg/internal/vfs/errorfs"
)

const target = "/d/file"

// version is a content that shows whether it is whole.
func version(n int) string { return fmt.Sprintf("%d%s end", n, strings.Repeat(".", 20)) }

func parseVersion(data []byte) (int, bool) {
	var n int
	_, err := fmt.Sscanf(string(data), "%d.", &n)
	return n, err == nil && string(data) == version(n)
}

// replace makes content the next version of the target, durably.
func replace(fsys vfs.FS, content string) error {
	temp := target + ".tmp"
	if err := fsys.Remove(temp); errors.Is(err, errorfs.ErrPowerLoss) {
		return err
	}
	f, err := fsys.Create(temp, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.Write([]byte(content)); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := fsys.Rename(temp, target); err != nil {
		return err
	}
	return vfs.SyncDir(fsys, filepath.Dir(target))
}

// loseAtEveryStep replaces a file three times, with a loss of power at
// operation k for every k, and returns what was wrong with what was left.
func loseAtEveryStep(t *testing.T, opts crashfs.Options, rng *rand.Rand) (wrong map[string]int, states int) {
	t.Helper()
	wrong = make(map[string]int)
	opts.BlockSize = 8
	for k := 0; ; k++ {
		cfs := newFS(t, &opts)
		must(t, cfs.WriteFile(target, []byte(version(0))))
		cfs.SyncAll()
		efs := errorfs.Wrap(cfs)
		loss := efs.Inject(errorfs.PowerLossAt(k))
		acknowledged, tried := 0, 0
		for tried < 3 && loss.Fired() == 0 {
			tried++
			if replace(efs, version(tried)) == nil {
				acknowledged = tried
			}
		}
		for range 50 {
			states++
			after := cfs.Crash(rng)
			data, err := after.ReadFile(target)
			n, whole := parseVersion(data)
			switch {
			case err != nil:
				wrong["no file"]++
			case !whole:
				wrong["torn"]++
			case n < acknowledged:
				wrong["acknowledged version lost"]++
			case n > tried:
				t.Fatalf("version %d of %d survived", n, tried)
			}
			if err := replace(after, version(n+1)); err != nil {
				t.Fatalf("writing after the crash: %v\n%v", err, after)
			}
		}
		if loss.Fired() == 0 {
			return wrong, states
		}
	}
}

// TestAtomicReplace shows that a replacement with both syncs survives a loss of
// power at every step, and that leaving out either of them does not.
func TestAtomicReplace(t *testing.T) {
	for _, test := range []struct {
		name string
		opts crashfs.Options
		want string // what must be seen to go wrong
	}{
		{"both syncs", crashfs.Options{}, ""},
		{"without file sync", crashfs.Options{IgnoreSync: true}, "torn"},
		{"without directory sync", crashfs.Options{IgnoreSyncDir: true}, "acknowledged version lost"},
	} {
		for order, o := range orders {
			t.Run(test.name+"/"+order, func(t *testing.T) {
				test.opts.Order = o
				wrong, states := loseAtEveryStep(t, test.opts, newRand(t))
				t.Logf("%d states, wrong: %v", states, wrong)
				if test.want == "" && len(wrong) > 0 {
					t.Errorf("wrong in %d states: %v", states, wrong)
				}
				if test.want != "" && wrong[test.want] == 0 {
					t.Errorf("wrong in %d states: %v; want %q among them", states, wrong, test.want)
				}
			})
		}
	}
}
