//go:build unix

package registry_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/machreg/machreg/registry"
)

// A handle serves the path as it was given, whatever the path is turned into
// while the handle is open. Each way of turning it says where the registry is
// afterwards; what was in it comes along where moved is set.
var turns = []struct {
	name  string
	setup func(t *testing.T, base string) (path string) // the path to open
	turn  func(t *testing.T, base string)
	moved bool
}{
	{
		name:  "the file is moved, and a link left behind",
		setup: func(t *testing.T, base string) string { return filepath.Join(base, "a", "machines.json") },
		turn: func(t *testing.T, base string) {
			must(t, os.Rename(filepath.Join(base, "a", "machines.json"), filepath.Join(base, "b", "machines.json")))
			must(t, os.Symlink(filepath.Join(base, "b", "machines.json"), filepath.Join(base, "a", "machines.json")))
		},
		moved: true,
	},
	{
		name: "a link to the file is turned to a copy",
		setup: func(t *testing.T, base string) string {
			must(t, os.Symlink(filepath.Join("a", "machines.json"), filepath.Join(base, "link.json")))
			return filepath.Join(base, "link.json")
		},
		turn: func(t *testing.T, base string) {
			copyFile(t, filepath.Join(base, "a", "machines.json"), filepath.Join(base, "b", "machines.json"))
			turnLink(t, filepath.Join(base, "link.json"), filepath.Join("b", "machines.json"))
		},
		moved: true,
	},
	{
		name: "a link to a file becomes one to a hard link of it elsewhere",
		setup: func(t *testing.T, base string) string {
			must(t, os.Symlink(filepath.Join("a", "machines.json"), filepath.Join(base, "link.json")))
			return filepath.Join(base, "link.json")
		},
		turn: func(t *testing.T, base string) {
			must(t, os.Link(filepath.Join(base, "a", "machines.json"), filepath.Join(base, "b", "machines.json")))
			must(t, os.Remove(filepath.Join(base, "a", "machines.json")))
			turnLink(t, filepath.Join(base, "link.json"), filepath.Join("b", "machines.json"))
		},
		moved: true,
	},
	{
		name: "the directory above is a link that is turned to another release",
		setup: func(t *testing.T, base string) string {
			must(t, os.Symlink("a", filepath.Join(base, "current")))
			return filepath.Join(base, "current", "machines.json")
		},
		turn: func(t *testing.T, base string) {
			copyFile(t, filepath.Join(base, "a", "machines.json"), filepath.Join(base, "b", "machines.json"))
			turnLink(t, filepath.Join(base, "current"), "b")
		},
		moved: true,
	},
	{
		name: "as a configuration mount: a link to a link to a directory, which is turned, and the old one removed",
		setup: func(t *testing.T, base string) string {
			must(t, os.Symlink("a", filepath.Join(base, "..data")))
			must(t, os.Symlink(filepath.Join("..data", "machines.json"), filepath.Join(base, "machines.json")))
			return filepath.Join(base, "machines.json")
		},
		turn: func(t *testing.T, base string) {
			copyFile(t, filepath.Join(base, "a", "machines.json"), filepath.Join(base, "b", "machines.json"))
			turnLink(t, filepath.Join(base, "..data"), "b")
			must(t, os.RemoveAll(filepath.Join(base, "a")))
		},
		moved: true,
	},
	{
		name:  "the directory is moved, and a link left behind",
		setup: func(t *testing.T, base string) string { return filepath.Join(base, "a", "machines.json") },
		turn: func(t *testing.T, base string) {
			must(t, os.Rename(filepath.Join(base, "a"), filepath.Join(base, "c")))
			must(t, os.Symlink("c", filepath.Join(base, "a")))
		},
		moved: true,
	},
	{
		name: "a dangling link gets its target",
		setup: func(t *testing.T, base string) string {
			must(t, os.Symlink(filepath.Join("d", "machines.json"), filepath.Join(base, "link.json")))
			return filepath.Join(base, "link.json")
		},
		turn: func(t *testing.T, base string) {
			must(t, os.MkdirAll(filepath.Join(base, "d"), 0o755))
		},
	},
}

func TestPathIsTurned(t *testing.T) {
	for _, turn := range turns {
		for _, policy := range []registry.RefreshPolicy{registry.RefreshWatch, registry.RefreshPoll, registry.RefreshNever} {
			for _, page := range []registry.PagePolicy{registry.PageAuto, registry.PageOff} {
				for _, first := range []string{"the handle", "another"} {
					t.Run(fmt.Sprintf("%s/%d/%d/%s writes first", turn.name, policy, page, first), func(t *testing.T) {
						base := t.TempDir()
						for _, dir := range []string{"a", "b"} {
							must(t, os.Mkdir(filepath.Join(base, dir), 0o755))
						}
						path := turn.setup(t, base)
						r := open(t, path, &registry.Options{Refresh: policy, Page: page, PollInterval: 20 * time.Millisecond})
						if turn.moved {
							add(t, r, "one")
						}
						turn.turn(t, base)
						links := countLinks(t, base)

						if first == "another" {
							other := open(t, path, nil)
							rev := add(t, other, "two")
							if policy == registry.RefreshNever {
								must(t, r.Refresh(t.Context()))
							}
							snap, err := r.AtLeast(t.Context(), rev)
							if err != nil {
								t.Fatal(err)
							}
							if !snap.Holds("two") {
								t.Errorf("at revision %d the handle does not see the other's write of revision %d", snap.Revision(), rev)
							}
						}
						add(t, r, "three") // acknowledged
						again := open(t, path, nil)
						add(t, again, "four")
						latest, err := r.Latest(t.Context())
						if err != nil || !latest.Holds("four") {
							t.Errorf("Latest = revision %d, %v, without what was acknowledged", latest.Revision(), err)
						}
						third := open(t, path, nil)
						for name, want := range map[string]bool{"one": turn.moved, "two": first == "another", "three": true, "four": true} {
							if got := third.Snapshot().Holds(name); got != want {
								t.Errorf("who opens the path finds %q: %t, want %t", name, got, want)
							}
						}
						if n := countLinks(t, base); n != links {
							t.Errorf("%d links are left of %d", n, links)
						}
						if err := r.Health(); err != nil {
							t.Errorf("Health() = %v", err)
						}
					})
				}
			}
		}
	}
}

// A path that leads nowhere, or to what is no file, refuses writes and leaves
// everything as it is; once it leads to a registry again, all goes on.
func TestPathIsUnusableForAWhile(t *testing.T) {
	spoils := map[string]struct {
		spoil, mend func(t *testing.T, path string)
		want        error
	}{
		"dangling link": {
			func(t *testing.T, path string) {
				must(t, os.Rename(path, path+".away"))
				must(t, os.Symlink("nowhere", path))
			},
			func(t *testing.T, path string) { must(t, os.Remove(path)); must(t, os.Rename(path+".away", path)) },
			registry.ErrMissing,
		},
		"directory": {
			func(t *testing.T, path string) {
				must(t, os.Rename(path, path+".away"))
				must(t, os.Mkdir(path, 0o755))
			},
			func(t *testing.T, path string) { must(t, os.Remove(path)); must(t, os.Rename(path+".away", path)) },
			nil,
		},
		"directory above moved away": {
			func(t *testing.T, path string) { must(t, os.Rename(filepath.Dir(path), filepath.Dir(path)+".away")) },
			func(t *testing.T, path string) { must(t, os.Rename(filepath.Dir(path)+".away", filepath.Dir(path))) },
			registry.ErrMissing,
		},
		"link loop": {
			func(t *testing.T, path string) {
				must(t, os.Rename(path, path+".away"))
				must(t, os.Symlink(path, path))
			},
			func(t *testing.T, path string) { must(t, os.Remove(path)); must(t, os.Rename(path+".away", path)) },
			nil,
		},
	}
	for name, s := range spoils {
		for _, locks := range []string{"beside", "elsewhere"} {
			t.Run(name+"/locks "+locks, func(t *testing.T) {
				path := filepath.Join(t.TempDir(), "fleet", "machines.json")
				opts := &registry.Options{PollInterval: 20 * time.Millisecond}
				if locks == "elsewhere" {
					opts.LockDir = filepath.Join(t.TempDir(), "locks")
				}
				r := open(t, path, opts)
				before := add(t, r, "a", "b")
				s.spoil(t, path)
				paths := everything(t, filepath.Dir(filepath.Dir(path)))
				for range 3 {
					if rev, err := r.Add(t.Context(), machineOf("lost")); err == nil || s.want != nil && !errors.Is(err, s.want) {
						t.Errorf("Add = %d, %v, want %v", rev, err, s.want)
					}
				}
				if _, err := r.Get("b"); err != nil {
					t.Errorf("Get of what was read before = %v", err)
				}
				if now := everything(t, filepath.Dir(filepath.Dir(path))); fmt.Sprint(now) != fmt.Sprint(paths) {
					t.Errorf("refused writes left %q, there was %q", now, paths)
				}
				s.mend(t, path)
				if rev := add(t, r, "c"); rev <= before {
					t.Errorf("the next write is revision %d after %d", rev, before)
				}
				if third := open(t, path, opts).Snapshot(); !third.Holds("c") || third.Holds("lost") {
					t.Error("who opens the path does not find what was acknowledged, or finds what was refused")
				}
			})
		}
	}
}

// Whatever a relative path or lock directory was when the registry was opened,
// it is the same after the process has moved elsewhere.
func TestWorkingDirectoryChanges(t *testing.T) {
	for _, locks := range []string{"", "locks", filepath.FromSlash(".gastown/locks"), filepath.FromSlash("./.gastown/../.gastown/locks")} {
		t.Run(locks, func(t *testing.T) {
			dir := t.TempDir()
			t.Chdir(dir)
			opts := &registry.Options{LockDir: locks}
			r := open(t, "machines.json", opts)
			add(t, r, "one")
			absolute := &registry.Options{LockDir: locks}
			if locks != "" {
				absolute.LockDir = filepath.Join(dir, locks)
			}
			other := open(t, filepath.Join(dir, "machines.json"), absolute)
			elsewhere := t.TempDir()
			t.Chdir(elsewhere)
			for i := range 20 {
				add(t, other, fmt.Sprint("other-", i))
				rev := add(t, r, fmt.Sprint("m-", i))
				if snap, err := other.Latest(t.Context()); err != nil || snap.Revision() < rev {
					t.Fatalf("Latest = revision %d, %v after %d was acknowledged", snap.Revision(), err, rev)
				}
			}
			if left := everything(t, elsewhere); len(left) != 0 {
				t.Errorf("the new working directory has %q", left)
			}
			if mode := other.Stats().Latest; mode.Err != nil {
				t.Errorf("Latest works by %s: %v", mode.Name, mode.Err)
			}
		})
	}
}

// Each place counts its own revisions. One number may stand for two contents
// there, but not for a handle that has met both.
func TestRevisionOfAnotherPlace(t *testing.T) {
	for _, page := range []registry.PagePolicy{registry.PageAuto, registry.PageOff} {
		t.Run(fmt.Sprint(page), func(t *testing.T) {
			base := t.TempDir()
			for _, dir := range []string{"a", "b"} {
				must(t, os.Mkdir(filepath.Join(base, dir), 0o755))
			}
			must(t, os.Symlink("a", filepath.Join(base, "current")))
			r := open(t, filepath.Join(base, "current", "machines.json"), &registry.Options{Refresh: registry.RefreshNever, Page: page})
			other := open(t, filepath.Join(base, "b", "machines.json"), nil)
			mine, theirs := add(t, r, "mine"), add(t, other, "theirs")
			if mine != theirs {
				t.Fatalf("first revisions are %d and %d, want equal ones", mine, theirs)
			}
			turnLink(t, filepath.Join(base, "current"), "b")
			for range 2 {
				must(t, r.Refresh(t.Context()))
				if snap := r.Snapshot(); snap.Revision() != mine || !snap.Edited() {
					t.Errorf("Snapshot of the other place has revision %d, edited %t, want %d and true", snap.Revision(), snap.Edited(), mine)
				}
				now := time.Now() // makes the next refresh read it
				must(t, os.Chtimes(filepath.Join(base, "b", "machines.json"), now, now))
			}
			_, err := r.Add(t.Context(), machineOf("late"), registry.IfRevision(mine))
			if !errors.Is(err, registry.ErrConflict) {
				t.Errorf("Add under the revision of the first place = %v, want ErrConflict", err)
			}
			if rev := add(t, r, "late"); rev <= mine {
				t.Errorf("Add is revision %d, after %d", rev, mine)
			}
			_, err = other.Get("theirs")
			must(t, err)
		})
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	data, err := os.ReadFile(from)
	must(t, err)
	must(t, os.WriteFile(to, data, 0o644))
}

// turnLink replaces a link in one step, as deployments do.
func turnLink(t *testing.T, link, to string) {
	t.Helper()
	must(t, os.Symlink(to, link+".new"))
	must(t, os.Rename(link+".new", link))
}

// everything lists all paths below dir.
func everything(t *testing.T, dir string) (paths []string) {
	t.Helper()
	must(t, filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if path != dir && err == nil {
			paths = append(paths, path)
		}
		return err
	}))
	return paths
}

func countLinks(t *testing.T, dir string) (n int) {
	t.Helper()
	for _, path := range everything(t, dir) {
		if info, err := os.Lstat(path); err == nil && info.Mode()&fs.ModeSymlink != 0 {
			n++
		}
	}
	return n
}

// Where the system says that a path leads nowhere, a registry cannot be made
// there: what a first write would make at a place that the text of the links
// suggests is no registry that anybody finds by the path.
func TestFirstWriteIsWhereThePathLeads(t *testing.T) {
	for name, to := range map[string]string{
		"through a directory that is not there": "missing/../machines.json",
		"a directory by its spelling":           "machines.json/",
		"a directory's own entry":               "machines.json/.",
		"through a file":                        "file/../machines.json",
	} {
		t.Run(name, func(t *testing.T) {
			base := t.TempDir()
			mustWrite(t, filepath.Join(base, "file"), "")
			path := filepath.Join(base, "link.json")
			must(t, os.Symlink(to, path))
			before := everything(t, base)
			r, err := registry.OpenMachines(path, nil)
			if err == nil {
				defer r.Close()
				_, err = r.Add(t.Context(), machineOf("a"))
				if err == nil {
					if again := open(t, path, nil); !again.Snapshot().Holds("a") {
						t.Errorf("Add is acknowledged, and who opens the path does not find it; there is %q", everything(t, base))
					}
				}
			}
			if after := everything(t, base); err != nil && fmt.Sprint(after) != fmt.Sprint(before) {
				t.Errorf("after %v there is %q, want %q", err, after, before)
			}
		})
	}
}
