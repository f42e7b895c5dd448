package crashfs_test

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/machreg/machreg/internal/vfs"
	"github.com/machreg/machreg/internal/vfs/crashfs"
)

func stat(t testing.TB, fsys vfs.FS, name string) vfs.Info {
	t.Helper()
	info, err := fsys.Stat(name)
	must(t, err)
	return info
}

func TestInodesAreRecycledUnlessOpen(t *testing.T) {
	if !vfs.InodesRecycle {
		t.Skip("inode numbers are never given again on this platform, and the library relies on that")
	}
	fsys := newFS(t, nil)
	must(t, fsys.WriteFile("/d/a", nil))
	first := stat(t, fsys, "/d/a")
	// Replaced while nobody has it open: the second version after it gets its
	// number.
	must(t, fsys.WriteFile("/d/b", nil))
	must(t, fsys.Rename("/d/b", "/d/a"))
	second := stat(t, fsys, "/d/a")
	must(t, fsys.WriteFile("/d/b", nil))
	must(t, fsys.Rename("/d/b", "/d/a"))
	third := stat(t, fsys, "/d/a")
	if first.SameFile(second) || !first.SameFile(third) {
		t.Errorf("inodes %d, %d, %d: want the first again in the end", first.Inode, second.Inode, third.Inode)
	}

	pin, err := fsys.Open("/d/a")
	must(t, err)
	for i := range 10 {
		must(t, fsys.WriteFile("/d/b", nil))
		must(t, fsys.Rename("/d/b", "/d/a"))
		if got := stat(t, fsys, "/d/a"); got.SameFile(third) {
			t.Fatalf("version %d has inode %d, which is open", i, got.Inode)
		}
	}
	if info, err := pin.Stat(); err != nil || info.Links != 0 || !info.SameFile(third) {
		t.Errorf("the open file is %+v (%v), want inode %d without names", info, err, third.Inode)
	}
	must(t, pin.Close())
	must(t, fsys.WriteFile("/d/b", nil))
	if got := stat(t, fsys, "/d/b"); !got.SameFile(third) {
		t.Errorf("after the close a new file has inode %d, want %d", got.Inode, third.Inode)
	}
}

func TestClockIsCoarse(t *testing.T) {
	var now int64 = 1e18
	fsys := newFS(t, &crashfs.Options{Granularity: 1000, Now: func() int64 { return now }})
	times := func() (got [2]int64) {
		for i := range got {
			must(t, fsys.WriteFile("/d/f", nil))
			got[i] = stat(t, fsys, "/d/f").ModTime
			now += 500
		}
		return got
	}
	if got := times(); got[0] != 1e18 || got[1] != 1e18 {
		t.Errorf("times %v, want both %d", got, int64(1e18))
	}
	if got := times(); got[0] != 1e18+1000 || got[1] != 1e18+1000 {
		t.Errorf("times %v, want both %d", got, int64(1e18+1000))
	}
}

func TestDefaultClockRepeatsAndAdvances(t *testing.T) {
	history := func() (times []int64) {
		fsys := newFS(t, nil)
		for range 200 {
			must(t, fsys.WriteFile("/d/f", nil))
			times = append(times, stat(t, fsys, "/d/f").ModTime)
		}
		return times
	}
	a, b := history(), history()
	equal := 0
	for i := range a {
		if a[i] != b[i] {
			t.Fatalf("write %d is at %d and, in a second run, at %d", i, a[i], b[i])
		}
		if i > 0 && a[i] < a[i-1] {
			t.Fatalf("write %d is at %d, the one before at %d", i, a[i], a[i-1])
		}
		if i > 0 && a[i] == a[i-1] {
			equal++
		}
	}
	if equal == 0 || a[0] == a[len(a)-1] {
		t.Errorf("%d of %d neighbours have equal times; want some, and not all", equal, len(a)-1)
	}
}

func TestRelativeNamesBeginAtTheRoot(t *testing.T) {
	fsys := newFS(t, nil)
	must(t, fsys.WriteFile("d/f", []byte("content")))
	for _, name := range []string{"/d/f", "d/f", "./d/../d/f", "/../d//f"} {
		if got := stat(t, fsys, name); got.Size != 7 {
			t.Errorf("Stat(%q) = %+v", name, got)
		}
	}
	if err := fsys.Remove("/"); err == nil {
		t.Error("the root can be removed")
	}
	if _, err := fsys.Create("/", 0o600); err == nil {
		t.Error("the root can be created")
	}
}

func TestDirectoryCannotBeRenamed(t *testing.T) {
	fsys := newFS(t, nil)
	if err := fsys.Rename("/d", "/e"); err == nil {
		t.Error("a directory was renamed")
	}
}

// TestConcurrentUse replaces one file from many goroutines while others read,
// sync and crash it; what a reader sees is always whole.
func TestConcurrentUse(t *testing.T) {
	for order, o := range orders {
		t.Run(order, func(t *testing.T) {
			fsys := newFS(t, &crashfs.Options{Order: o})
			content := func(who, round int) string { return fmt.Sprintf("%d %d", who, round) }
			must(t, fsys.WriteFile("/d/f", []byte(content(0, 0))))
			fsys.SyncAll()
			check := func(fsys *crashfs.FS) {
				data, err := fsys.ReadFile("/d/f")
				var who, round int
				if _, serr := fmt.Sscanf(string(data), "%d %d", &who, &round); err != nil || serr != nil || string(data) != content(who, round) {
					t.Errorf("content %q (%v, %v)", data, err, serr)
				}
			}
			const goroutines, rounds = 4, 100
			var writers, readers sync.WaitGroup
			for who := range goroutines {
				writers.Go(func() {
					temp := fmt.Sprintf("/d/temp%d", who)
					for round := range rounds {
						f, err := fsys.Create(temp, 0o600)
						if err == nil {
							_, err = f.Write([]byte(content(who, round)))
						}
						if err == nil {
							err = errors.Join(f.Sync(), fsys.Rename(temp, "/d/f"), fsys.SyncDir("/d"), f.Close())
						}
						if err != nil {
							t.Error(err)
							return
						}
					}
				})
			}
			done := make(chan struct{})
			for i := range 2 {
				rng := rand.New(rand.NewPCG(uint64(i), 0))
				readers.Go(func() {
					for {
						check(fsys)
						check(fsys.Crash(rng))
						select {
						case <-done:
							return
						default:
						}
					}
				})
			}
			writers.Wait()
			close(done)
			readers.Wait()
			names, err := fsys.ReadNames("/d")
			if err != nil || len(names) != 1 {
				t.Errorf("%q is left (%v)", names, err)
			}
		})
	}
}

func TestMissingDirectory(t *testing.T) {
	fsys := crashfs.New(nil)
	if err := fsys.WriteFile("/nowhere/f", nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("WriteFile = %v, want %v", err, fs.ErrNotExist)
	}
	must(t, fsys.WriteFile("/f", nil))
	if err := fsys.MkdirAll("/f/d"); err == nil {
		t.Error("a directory was made below a file")
	}
}
