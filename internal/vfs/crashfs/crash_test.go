package crashfs_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/machreg/machreg/internal/vfs"
	"github.com/machreg/machreg/internal/vfs/crashfs"
)

// crashes is how many states of each situation are looked at. A state that
// these tests demand to see has a chance of at least 1 in 50.
const crashes = 1000

// newRand prints its seed.
func newRand(t testing.TB) *rand.Rand {
	t.Helper()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

var orders = map[string]crashfs.Order{"journal": crashfs.Journal, "any order": crashfs.AnyOrder}

func newFS(t testing.TB, opts *crashfs.Options) *crashfs.FS {
	t.Helper()
	fsys := crashfs.New(opts)
	if err := fsys.MkdirAll("/d"); err != nil {
		t.Fatal(err)
	}
	return fsys
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// state is all names of /d with their content.
func state(t testing.TB, fsys *crashfs.FS) string {
	t.Helper()
	names, err := fsys.ReadNames("/d")
	must(t, err)
	slices.Sort(names)
	var parts []string
	for _, name := range names {
		data, err := fsys.ReadFile("/d/" + name)
		must(t, err)
		parts = append(parts, fmt.Sprintf("%s=%q", name, data))
	}
	return strings.Join(parts, " ")
}

// crashStates counts the states that crashes leave.
func crashStates(t *testing.T, fsys *crashfs.FS) map[string]int {
	t.Helper()
	rng := newRand(t)
	seen := make(map[string]int)
	for range crashes {
		seen[state(t, fsys.Crash(rng))]++
	}
	return seen
}

func TestSurvivingStates(t *testing.T) {
	// create makes a file with synced content.
	create := func(t *testing.T, fsys *crashfs.FS, name, content string) {
		f, err := fsys.Create("/d/"+name, 0o600)
		must(t, err)
		_, err = f.Write([]byte(content))
		must(t, err)
		must(t, f.Sync())
		must(t, f.Close())
	}
	for _, test := range []struct {
		name         string
		run          func(*testing.T, *crashfs.FS)
		journal, any []string
	}{
		{
			name:    "nothing pending",
			run:     func(t *testing.T, f *crashfs.FS) { create(t, f, "a", "1"); must(t, f.SyncDir("/d")) },
			journal: []string{`a="1"`},
		}, {
			name:    "content synced, name not",
			run:     func(t *testing.T, f *crashfs.FS) { create(t, f, "a", "1") },
			journal: []string{``, `a="1"`},
		}, {
			name: "name synced, content not",
			run: func(t *testing.T, f *crashfs.FS) {
				must(t, f.WriteFile("/d/a", []byte("12")))
				must(t, f.SyncDir("/d"))
			},
			// It is there or it is zeros, from some byte on, up to some size.
			journal: []string{`a=""`, `a="1"`, `a="12"`, `a="1\x00"`, `a="\x00"`, `a="\x00\x00"`},
		}, {
			name: "replaced",
			run: func(t *testing.T, f *crashfs.FS) {
				create(t, f, "a", "1")
				must(t, f.SyncDir("/d"))
				create(t, f, "b", "2")
				must(t, f.Rename("/d/b", "/d/a"))
			},
			journal: []string{`a="1"`, `a="1" b="2"`, `a="2"`},
		}, {
			name: "replaced and synced",
			run: func(t *testing.T, f *crashfs.FS) {
				create(t, f, "a", "1")
				create(t, f, "b", "2")
				must(t, f.Rename("/d/b", "/d/a"))
				must(t, f.SyncDir("/d"))
			},
			journal: []string{`a="2"`},
		}, {
			name: "two creations",
			run: func(t *testing.T, f *crashfs.FS) {
				create(t, f, "a", "1")
				create(t, f, "b", "2")
			},
			journal: []string{``, `a="1"`, `a="1" b="2"`},
			any:     []string{``, `a="1"`, `a="1" b="2"`, `b="2"`},
		}, {
			name: "replaced twice",
			run: func(t *testing.T, f *crashfs.FS) {
				create(t, f, "a", "1")
				create(t, f, "b", "2")
				create(t, f, "c", "3")
				must(t, f.SyncDir("/d"))
				must(t, f.Rename("/d/b", "/d/a"))
				must(t, f.Rename("/d/c", "/d/a"))
			},
			journal: []string{`a="1" b="2" c="3"`, `a="2" c="3"`, `a="3"`},
			any:     []string{`a="1" b="2" c="3"`, `a="2" c="3"`, `a="3"`, `a="3" b="2"`},
		}, {
			name: "renamed twice",
			run: func(t *testing.T, f *crashfs.FS) {
				create(t, f, "a", "1")
				must(t, f.SyncDir("/d"))
				must(t, f.Rename("/d/a", "/d/b"))
				must(t, f.Rename("/d/b", "/d/c"))
			},
			journal: []string{`a="1"`, `b="1"`, `c="1"`},
		}, {
			name: "removed, and the number used again",
			run: func(t *testing.T, f *crashfs.FS) {
				create(t, f, "a", "1")
				must(t, f.SyncDir("/d"))
				must(t, f.Remove("/d/a"))
				create(t, f, "b", "2")
			},
			journal: []string{`a="1"`, ``, `b="2"`},
			any:     []string{`a="1"`, ``, `b="2"`, `a="1" b="2"`},
		},
	} {
		for order, o := range orders {
			t.Run(test.name+"/"+order, func(t *testing.T) {
				fsys := newFS(t, &crashfs.Options{Order: o})
				test.run(t, fsys)
				want := test.journal
				if o == crashfs.AnyOrder && test.any != nil {
					want = test.any
				}
				want = slices.Sorted(slices.Values(want))
				seen := crashStates(t, fsys)
				if got := slices.Sorted(maps.Keys(seen)); !slices.Equal(got, want) {
					t.Errorf("%d crashes left %v\nwant exactly %q", crashes, seen, want)
				}
			})
		}
	}
}

// TestUnsyncedContentIsOldOrNewOrZero writes in place, which empties the file
// first: of the old content all may survive, or what the new did not reach, or
// nothing.
func TestUnsyncedContentIsOldOrNewOrZero(t *testing.T) {
	const block = 4
	old := bytes.Repeat([]byte("o"), 10*block)
	for _, length := range []int{6 * block, 10 * block, 15*block + 1} {
		t.Run(fmt.Sprint(length), func(t *testing.T) {
			fsys := newFS(t, &crashfs.Options{BlockSize: block})
			must(t, fsys.WriteFile("/d/f", old))
			fsys.SyncAll()
			must(t, fsys.WriteFile("/d/f", bytes.Repeat([]byte("n"), length)))
			rng := newRand(t)
			var unchanged, complete, empty, mixed, emptied int
			for range crashes {
				data, err := fsys.Crash(rng).ReadFile("/d/f")
				must(t, err)
				if len(data) > max(len(old), length) {
					t.Fatalf("%d bytes survived", len(data))
				}
				s := string(data)
				// Zeros where there was something show that the file was emptied;
				// then nothing old is left.
				wasEmptied := strings.Contains(s[:min(len(s), len(old))], "\x00")
				for i := 0; i < len(s); i += block {
					for _, c := range s[i:min(i+block, len(s))] {
						isOld := c == 'o' && i < len(old) && !wasEmptied
						isNew := c == 'n' && i < length
						isZero := c == 0 && (i >= len(old) || wasEmptied)
						if !isOld && !isNew && !isZero {
							t.Fatalf("byte %q at block %d of %q", c, i/block, s)
						}
					}
				}
				switch {
				case s == string(old):
					unchanged++
				case s == strings.Repeat("n", length):
					complete++
				case s == "":
					empty++
				case wasEmptied:
					emptied++
				default:
					mixed++
				}
			}
			t.Logf("unchanged %d, complete %d, empty %d, zeros and new %d, others %d", unchanged, complete, empty, emptied, mixed)
			if unchanged == 0 || complete == 0 || empty == 0 || emptied == 0 || mixed == 0 {
				t.Errorf("unchanged %d, complete %d, empty %d, zeros and new %d, others %d: want all to occur", unchanged, complete, empty, emptied, mixed)
			}
		})
	}
}

// TestSameContentWrittenAgain is what a copy does that changes nothing: for a
// moment the file was empty, and that is what may survive.
func TestSameContentWrittenAgain(t *testing.T) {
	fsys := newFS(t, nil)
	must(t, fsys.WriteFile("/d/f", []byte("x")))
	fsys.SyncAll()
	must(t, fsys.WriteFile("/d/f", []byte("x")))
	want := []string{`f=""`, `f="\x00"`, `f="x"`}
	if got := slices.Sorted(maps.Keys(crashStates(t, fsys))); !slices.Equal(got, want) {
		t.Errorf("crashes left %q, want %q", got, want)
	}
}

// TestDirectoryIsLostWithAllInIt makes a directory and syncs all that is in it,
// but not the directory above.
func TestDirectoryIsLostWithAllInIt(t *testing.T) {
	for order, o := range orders {
		t.Run(order, func(t *testing.T) {
			fsys := newFS(t, &crashfs.Options{Order: o})
			must(t, fsys.Mkdir("/d/new", 0o755))
			must(t, fsys.Mkdir("/d/new/inner", 0o755))
			f, err := fsys.Create("/d/temp", 0o600)
			must(t, err)
			must(t, f.Sync())
			must(t, fsys.Rename("/d/temp", "/d/new/inner/file"))
			rng := newRand(t)
			survived := func() (n int) {
				for range crashes {
					if _, err := fsys.Crash(rng).Stat("/d/new/inner/file"); err == nil {
						n++
					}
				}
				return n
			}
			if n := survived(); n == 0 || n == crashes {
				t.Errorf("with nothing synced, the file survived %d of %d times", n, crashes)
			}
			if o == crashfs.AnyOrder {
				// The rename touches /d as well; that one rename, not what else
				// was done there.
				must(t, fsys.SyncDir("/d/new"))
			}
			must(t, fsys.SyncDir("/d"))
			must(t, fsys.SyncDir("/d/new"))
			must(t, fsys.SyncDir("/d/new/inner"))
			if n := survived(); n != crashes {
				t.Errorf("with all synced, the file survived %d of %d times", n, crashes)
			}
		})
	}
}

// TestSyncOfDirectoryDoesNotCoverItsName shows what the parents' syncs are for.
func TestSyncOfDirectoryDoesNotCoverItsName(t *testing.T) {
	fsys := newFS(t, &crashfs.Options{Order: crashfs.AnyOrder})
	must(t, fsys.Mkdir("/d/new", 0o755))
	f, err := fsys.Create("/d/new/file", 0o600)
	must(t, err)
	must(t, f.Sync())
	must(t, fsys.SyncDir("/d/new"))
	rng := newRand(t)
	file, directory := 0, 0
	for range crashes {
		c := fsys.Crash(rng)
		if _, err := c.Stat("/d/new"); err == nil {
			directory++
		}
		if _, err := c.Stat("/d/new/file"); err == nil {
			file++
		}
	}
	if file != directory || file == 0 || file == crashes {
		t.Errorf("of %d crashes the directory survived %d, its file %d; want the same, and some lost", crashes, directory, file)
	}
}

var errFailed = errors.New("cannot write")

// failOnce is a fault for FailSync.
func failOnce() func(string) error {
	left := 1
	return func(string) error {
		if left--; left < 0 {
			return nil
		}
		return errFailed
	}
}

// TestFailedSyncGivesUp does what a program does that repeats a sync that
// failed, and what one does that writes again.
func TestFailedSyncGivesUp(t *testing.T) {
	for _, test := range []struct {
		name  string
		again func(f vfs.File) error
		want  []string
	}{
		{"only synced again", func(vfs.File) error { return nil }, []string{"\x00\x00\x00\x00", "\x00\x00\x00b", "aaa\x00", "aaab"}},
		{"more written", func(f vfs.File) error {
			_, err := f.Write([]byte("c"))
			return err
		}, []string{"\x00\x00\x00bc", "aaabc"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			fsys := newFS(t, &crashfs.Options{BlockSize: 3})
			f, err := fsys.Create("/d/f", 0o600)
			must(t, err)
			must(t, fsys.SyncDir("/d"))
			_, err = f.Write([]byte("aaab"))
			must(t, err)
			fsys.FailSync(failOnce())
			if err := f.Sync(); !errors.Is(err, errFailed) {
				t.Fatalf("Sync = %v, want %v", err, errFailed)
			}
			must(t, test.again(f))
			must(t, f.Sync())
			rng := newRand(t)
			seen := make(map[string]bool)
			for range crashes {
				data, err := fsys.Crash(rng).ReadFile("/d/f")
				must(t, err)
				seen[string(data)] = true
			}
			for _, want := range test.want {
				if !seen[want] {
					t.Errorf("%q was not seen among %q", want, slices.Sorted(maps.Keys(seen)))
				}
			}
			for got := range seen {
				if len(got) != len(test.want[0]) {
					t.Errorf("%q survived; the size was synced", got)
				}
			}
		})
	}
}

func TestFailedSyncDirGivesUp(t *testing.T) {
	replace := func(t *testing.T, fsys *crashfs.FS, content string) {
		f, err := fsys.Create("/d/temp", 0o600)
		must(t, err)
		_, err = f.Write([]byte(content))
		must(t, err)
		must(t, f.Sync())
		must(t, f.Close())
		must(t, fsys.Rename("/d/temp", "/d/f"))
	}
	for order, o := range orders {
		t.Run(order, func(t *testing.T) {
			fsys := newFS(t, &crashfs.Options{Order: o})
			replace(t, fsys, "1")
			must(t, fsys.SyncDir("/d"))
			replace(t, fsys, "2")
			fsys.FailSync(failOnce())
			if err := fsys.SyncDir("/d"); !errors.Is(err, errFailed) {
				t.Fatalf("SyncDir = %v, want %v", err, errFailed)
			}
			must(t, fsys.SyncDir("/d"))
			if seen := crashStates(t, fsys); seen[`f="1"`] == 0 || seen[`f="2"`] == 0 {
				t.Errorf("after a second sync crashes left %v, want old and new among them", seen)
			}
			replace(t, fsys, "3")
			must(t, fsys.SyncDir("/d"))
			for got := range crashStates(t, fsys) {
				if !strings.Contains(got, `f="3"`) {
					t.Errorf("after another replacement and its sync a crash left %s", got)
				}
			}
		})
	}
}

func TestUnsyncedAttributesAreOldOrNew(t *testing.T) {
	fsys := newFS(t, nil)
	f, err := fsys.Create("/d/f", 0o600)
	must(t, err)
	must(t, f.SetModTime(1))
	must(t, f.Chown(10, 10))
	must(t, f.Sync())
	must(t, fsys.SyncDir("/d"))
	must(t, f.Chmod(0o644))
	must(t, f.SetModTime(2))
	must(t, f.Chown(20, 20))
	rng := newRand(t)
	seen := make(map[string]bool)
	for range crashes {
		info, err := fsys.Crash(rng).Stat("/d/f")
		must(t, err)
		seen[fmt.Sprintf("%o %d %d:%d", info.Mode, info.ModTime, info.UID, info.GID)] = true
	}
	var want []string
	for _, mode := range []string{"600", "644"} {
		for _, modTime := range []string{"1", "2"} {
			for _, owner := range []string{"10:10", "20:20"} {
				want = append(want, mode+" "+modTime+" "+owner)
			}
		}
	}
	if got := slices.Sorted(maps.Keys(seen)); !slices.Equal(got, want) {
		t.Errorf("crashes left %q, want %q", got, want)
	}
	must(t, f.Sync())
	for range crashes {
		info, err := fsys.Crash(rng).Stat("/d/f")
		must(t, err)
		if info.Mode != 0o644 || info.ModTime != 2 || info.UID != 20 {
			t.Fatalf("after Sync a crash left %+v", info)
		}
	}
}

// TestDirectoriesAreSyncedSeparately moves a file between directories, of which
// one is synced: the move is one thing, and takes with it what came before it.
func TestDirectoriesAreSyncedSeparately(t *testing.T) {
	for order, o := range orders {
		t.Run(order, func(t *testing.T) {
			fsys := newFS(t, &crashfs.Options{Order: o})
			must(t, fsys.MkdirAll("/d2"))
			must(t, fsys.WriteFile("/d2/target", nil))
			must(t, fsys.WriteFile("/d/file", nil))
			must(t, fsys.Rename("/d/file", "/d2/target"))
			must(t, fsys.WriteFile("/d2/later", nil))
			must(t, fsys.SyncDir("/d"))
			rng := newRand(t)
			later := 0
			moved, err := fsys.Stat("/d2/target")
			must(t, err)
			for range crashes {
				c := fsys.Crash(rng)
				if _, err := c.Stat("/d/file"); !errors.Is(err, fs.ErrNotExist) {
					t.Fatalf("the old name is back: %v", err)
				}
				info, err := c.Stat("/d2/target")
				if err != nil || info.Inode != moved.Inode {
					t.Fatalf("the new name leads to %+v (%v), want inode %d", info, err, moved.Inode)
				}
				if _, err := c.Stat("/d2/later"); err == nil {
					later++
				}
			}
			if later == 0 || later == crashes {
				t.Errorf("what came later in the other directory survived %d of %d times", later, crashes)
			}
		})
	}
}

func TestCrashIsASeparateDurableCopy(t *testing.T) {
	fsys := newFS(t, &crashfs.Options{Order: crashfs.AnyOrder})
	must(t, fsys.WriteFile("/d/f", []byte("before")))
	for range 20 {
		must(t, fsys.WriteFile(fmt.Sprintf("/d/%d", rand.Uint64()), []byte("more")))
	}
	rng := newRand(t)
	c := fsys.Crash(rng)
	was := state(t, c)
	must(t, fsys.WriteFile("/d/f", []byte("after")))
	for range 100 {
		if got := state(t, c.Crash(rng)); got != was {
			t.Fatalf("a second crash changed\n%s to\n%s", was, got)
		}
	}
	before := state(t, fsys)
	must(t, c.WriteFile("/d/f", []byte("other")))
	must(t, c.Remove("/d/f"))
	if got := state(t, fsys); got != before {
		t.Errorf("a change after the crash reached the file system that crashed:\n%s\n%s", before, got)
	}
}

// TestCrashNumbersInodesApart lets a removal that did not survive bring back
// a file whose number was given to another.
func TestCrashNumbersInodesApart(t *testing.T) {
	fsys := newFS(t, &crashfs.Options{Order: crashfs.AnyOrder})
	for i := range 10 {
		must(t, fsys.WriteFile(fmt.Sprintf("/d/%d", i), nil))
	}
	must(t, fsys.SyncDir("/d"))
	for i := range 10 {
		must(t, fsys.Remove(fmt.Sprintf("/d/%d", i)))
		must(t, fsys.WriteFile(fmt.Sprintf("/d/%d", i+10), nil))
	}
	rng := newRand(t)
	for range crashes {
		c := fsys.Crash(rng)
		must(t, c.WriteFile("/d/new", nil))
		owner := make(map[uint64]string)
		names, err := c.ReadNames("/d")
		must(t, err)
		for _, name := range names {
			info, err := c.Stat("/d/" + name)
			must(t, err)
			if other, ok := owner[info.Inode]; ok {
				t.Fatalf("%s and %s both have inode %d\n%v", name, other, info.Inode, c)
			}
			owner[info.Inode] = name
		}
	}
}
