package crashfs_test

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/machreg/machreg/internal/vfs"
	"github.com/machreg/machreg/internal/vfs/crashfs"
	"github.com/machreg/machreg/internal/vfs/errorfs"
)

// session performs operations in one directory of one file system and tells
// what came of each in words that do not depend on the file system.
type session struct {
	fs    vfs.FS
	dir   string
	files []vfs.File // open and closed, in the order of opening
	infos []vfs.Info // of files when they were opened; valid while those are open
}

func (s *session) path(name string) string { return filepath.Join(s.dir, filepath.FromSlash(name)) }

func (s *session) close() {
	for _, f := range s.files {
		f.Close()
	}
}

// outcome is the kind of err.
func outcome(err error) string {
	switch {
	case err == nil:
		return "ok"
	case errors.Is(err, fs.ErrNotExist):
		return "not exist"
	case errors.Is(err, fs.ErrExist):
		// On Unix, a directory that is not empty "exists" too.
		if errors.Is(err, syscall.ENOTEMPTY) {
			return "not empty"
		}
		return "exist"
	case errors.Is(err, fs.ErrClosed):
		return "closed"
	case err == io.EOF:
		return "EOF"
	case errors.Is(err, io.EOF):
		return "wrapped EOF"
	}
	return "other error"
}

// describe leaves out what two file systems may give differently: numbers,
// the clock, and the size of a directory.
func (s *session) describe(info vfs.Info, err error) string {
	if err != nil {
		return outcome(err)
	}
	if info.Mode.IsDir() {
		return "directory"
	}
	same := []int{}
	for i, other := range s.infos {
		if _, err := s.files[i].Stat(); err == nil && info.SameFile(other) {
			same = append(same, i)
		}
	}
	time := "clock"
	if info.ModTime < 1e15 { // set by a step
		time = fmt.Sprint(info.ModTime)
	}
	return fmt.Sprintf("%d bytes, mode %v, time %s, links %d, same as open files %v", info.Size, info.Mode, time, info.Links, same)
}

func (s *session) opened(f vfs.File, err error) string {
	if err != nil {
		if f != nil {
			return "a file and an error"
		}
		return outcome(err)
	}
	info, err := f.Stat()
	s.files, s.infos = append(s.files, f), append(s.infos, info)
	return s.describe(info, err)
}

func (s *session) create(name string) string {
	f, err := s.fs.Create(s.path(name), 0o600)
	if err == nil && f.Name() != s.path(name) {
		return "name " + f.Name()
	}
	return s.opened(f, err)
}

func (s *session) mkdir(name string) string { return outcome(s.fs.Mkdir(s.path(name), 0o755)) }
func (s *session) lstat(name string) string { return s.describe(s.fs.Lstat(s.path(name))) }

// resolve tells where a path leads to from the session's directory, which on
// the real file system may be reached by a link.
func (s *session) resolve(name string) string {
	base, err := s.fs.Resolve(s.dir)
	if err != nil {
		return "directory: " + outcome(err)
	}
	route, err := s.fs.Resolve(s.dir + "/" + name)
	if err != nil {
		return outcome(err)
	}
	to, err := filepath.Rel(base.Target, route.Target)
	if err != nil || len(route.Links) != len(base.Links) {
		return fmt.Sprintf("%q by %q from %+v", route.Target, route.Links, base)
	}
	return filepath.ToSlash(to)
}

func (s *session) open(name string) string   { return s.opened(s.fs.Open(s.path(name))) }
func (s *session) stat(name string) string   { return s.describe(s.fs.Stat(s.path(name))) }
func (s *session) remove(name string) string { return outcome(s.fs.Remove(s.path(name))) }
func (s *session) rename(from, to string) string {
	return outcome(s.fs.Rename(s.path(from), s.path(to)))
}
func (s *session) syncDir(name string) string { return outcome(vfs.SyncDir(s.fs, s.path(name))) }

func (s *session) names(name string) string {
	names, err := s.fs.ReadNames(s.path(name))
	slices.Sort(names)
	return fmt.Sprintf("%q %s", names, outcome(err))
}

func (s *session) write(file int, text string) string {
	n, err := s.files[file].Write([]byte(text))
	return fmt.Sprint(n, " ", outcome(err))
}

func (s *session) read(file, length int, off int64) string {
	p := make([]byte, length)
	n, err := s.files[file].ReadAt(p, off)
	return fmt.Sprintf("%q %s", p[:n], outcome(err))
}

func (s *session) fileStat(file int) string { return s.describe(s.files[file].Stat()) }
func (s *session) chmod(file int, mode fs.FileMode) string {
	return outcome(s.files[file].Chmod(mode))
}
func (s *session) chown(file int) string {
	info := s.infos[file]
	err := s.files[file].Chown(info.UID, info.GID)
	if after, serr := s.files[file].Stat(); serr == nil && (after.UID != info.UID || after.GID != info.GID) {
		return "owner changed"
	}
	return outcome(err)
}
func (s *session) setTime(file int, ns int64) string { return outcome(s.files[file].SetModTime(ns)) }
func (s *session) sync(file int) string              { return outcome(s.files[file].Sync()) }
func (s *session) closeFile(file int) string         { return outcome(s.files[file].Close()) }

// implementations returns a session on each, the real file system first. Every
// one of them has a directory "sub" with a file "sub/inner".
func implementations(t testing.TB) map[string]*session {
	t.Helper()
	real := func() *session {
		dir := t.TempDir()
		must(t, os.Mkdir(filepath.Join(dir, "sub"), 0o755))
		must(t, os.WriteFile(filepath.Join(dir, "sub", "inner"), []byte("inner"), 0o600))
		return &session{fs: vfs.OS, dir: dir}
	}
	memory := func(o crashfs.Order) *session {
		fsys := crashfs.New(&crashfs.Options{Order: o})
		s := &session{fs: fsys, dir: filepath.FromSlash("/some/where")}
		must(t, fsys.MkdirAll(s.path("sub")))
		f, err := fsys.Create(s.path("sub/inner"), 0o600)
		must(t, err)
		_, err = f.Write([]byte("inner"))
		must(t, err)
		must(t, f.Close())
		return s
	}
	wrapped := real()
	wrapped.fs = errorfs.Wrap(vfs.OS)
	both := memory(crashfs.Journal)
	both.fs = errorfs.Wrap(both.fs)
	return map[string]*session{
		"os": real(), "errorfs": wrapped, "crashfs journal": memory(crashfs.Journal),
		"crashfs any order": memory(crashfs.AnyOrder), "errorfs over crashfs": both,
	}
}

// steps are performed in order.
var steps = []struct {
	op   string
	run  func(*session) string
	want string
}{
	{"stat missing", func(s *session) string { return s.stat("a") }, "not exist"},
	{"open missing", func(s *session) string { return s.open("a") }, "not exist"},
	{"remove missing", func(s *session) string { return s.remove("a") }, "not exist"},
	{"rename missing", func(s *session) string { return s.rename("a", "b") }, "not exist"},
	{"create in missing directory", func(s *session) string { return s.create("no/a") }, "not exist"},
	{"read names of missing directory", func(s *session) string { return s.names("no") }, `[] not exist`},
	{"sync missing directory", func(s *session) string { return s.syncDir("no") }, "not exist"},
	{"create", func(s *session) string { return s.create("a") }, "0 bytes, mode -rw-------, time clock, links 1, same as open files [0]"},
	{"create existing", func(s *session) string { return s.create("a") }, "exist"},
	{"create over directory", func(s *session) string { return s.create("sub") }, "exist"},
	{"create below file", func(s *session) string { return s.create("a/b") }, "other error"},
	{"read empty", func(s *session) string { return s.read(0, 1, 0) }, `"" EOF`},
	{"read nothing", func(s *session) string { return s.read(0, 0, 0) }, `"" ok`},
	{"write", func(s *session) string { return s.write(0, "hello ") }, "6 ok"},
	{"write nothing", func(s *session) string { return s.write(0, "") }, "0 ok"},
	{"write more", func(s *session) string { return s.write(0, "world") }, "5 ok"},
	{"read all", func(s *session) string { return s.read(0, 11, 0) }, `"hello world" ok`},
	{"read past end", func(s *session) string { return s.read(0, 11, 6) }, `"world" EOF`},
	{"read after end", func(s *session) string { return s.read(0, 1, 100) }, `"" EOF`},
	{"read before begin", func(s *session) string { return s.read(0, 1, -1) }, `"" other error`},
	{"stat file", func(s *session) string { return s.fileStat(0) }, "11 bytes, mode -rw-------, time clock, links 1, same as open files [0]"},
	{"chmod", func(s *session) string { return s.chmod(0, 0o644) }, "ok"},
	{"chown", func(s *session) string { return s.chown(0) }, "ok"},
	{"set time", func(s *session) string { return s.setTime(0, 123_456_700) }, "ok"},
	{"sync", func(s *session) string { return s.sync(0) }, "ok"},
	{"stat name", func(s *session) string { return s.stat("a") }, "11 bytes, mode -rw-r--r--, time 123456700, links 1, same as open files [0]"},
	{"open", func(s *session) string { return s.open("a") }, "11 bytes, mode -rw-r--r--, time 123456700, links 1, same as open files [0 1]"},
	{"write to file opened for reading", func(s *session) string { return s.write(1, "no") }, "0 other error"},
	{"read other descriptor", func(s *session) string { return s.read(1, 5, 6) }, `"world" ok`},
	{"create second", func(s *session) string { return s.create("b") }, "0 bytes, mode -rw-------, time clock, links 1, same as open files [2]"},
	{"rename over", func(s *session) string { return s.rename("b", "a") }, "ok"},
	{"old name is gone", func(s *session) string { return s.stat("b") }, "not exist"},
	{"new name is the new file", func(s *session) string { return s.stat("a") }, "0 bytes, mode -rw-------, time clock, links 1, same as open files [2]"},
	{"replaced file lives on", func(s *session) string { return s.fileStat(1) }, "11 bytes, mode -rw-r--r--, time 123456700, links 0, same as open files [0 1]"},
	{"replaced file can be read", func(s *session) string { return s.read(1, 5, 0) }, `"hello" ok`},
	{"renamed file can be written", func(s *session) string { return s.write(2, "new") }, "3 ok"},
	{"rename onto itself", func(s *session) string { return s.rename("a", "a") }, "ok"},
	{"rename over directory", func(s *session) string { return s.rename("a", "sub") }, "other error"},
	{"rename into directory", func(s *session) string { return s.rename("a", "sub/a") }, "ok"},
	{"rename into missing directory", func(s *session) string { return s.rename("sub/a", "no/a") }, "not exist"},
	{"rename back", func(s *session) string { return s.rename("sub/a", "a") }, "ok"},
	{"read names", func(s *session) string { return s.names(".") }, `["a" "sub"] ok`},
	{"read names of directory", func(s *session) string { return s.names("sub") }, `["inner"] ok`},
	{"resolve", func(s *session) string { return s.resolve("a") }, "a"},
	{"resolve missing", func(s *session) string { return s.resolve("no/more/b") }, "no/more/b"},
	{"resolve dots", func(s *session) string { return s.resolve("./sub//../sub/./../sub/b") }, "sub/b"},
	{"resolve below a file", func(s *session) string { return s.resolve("a/b") }, "other error"},
	{"describe without following", func(s *session) string { return s.lstat("a") }, "3 bytes, mode -rw-------, time clock, links 1, same as open files [2]"},
	{"describe missing without following", func(s *session) string { return s.lstat("no") }, "not exist"},
	{"make directory over file", func(s *session) string { return s.mkdir("a") }, "exist"},
	{"make directory over directory", func(s *session) string { return s.mkdir("sub") }, "exist"},
	{"make directory in missing directory", func(s *session) string { return s.mkdir("no/more") }, "not exist"},
	{"make directory below file", func(s *session) string { return s.mkdir("a/more") }, "other error"},
	{"make directory", func(s *session) string { return s.mkdir("sub/more") }, "ok"},
	{"describe directory", func(s *session) string { return s.lstat("sub/more") }, "directory"},
	{"read names of new directory", func(s *session) string { return s.names("sub/more") }, `[] ok`},
	{"rename into new directory", func(s *session) string { return s.rename("a", "sub/more/a") }, "ok"},
	{"remove new directory that is not empty", func(s *session) string { return s.remove("sub/more") }, "not empty"},
	{"rename out of new directory", func(s *session) string { return s.rename("sub/more/a", "a") }, "ok"},
	{"sync new directory", func(s *session) string { return s.syncDir("sub/more") }, "ok"},
	{"remove new directory", func(s *session) string { return s.remove("sub/more") }, "ok"},
	{"read names of file", func(s *session) string { return s.names("a") }, `[] other error`},
	{"sync directory", func(s *session) string { return s.syncDir(".") }, "ok"},
	{"stat directory", func(s *session) string { return s.stat("sub") }, "directory"},
	{"open directory", func(s *session) string { return s.open("sub") }, "directory"},
	{"read directory", func(s *session) string { return s.read(3, 1, 0) }, `"" other error`},
	{"close directory", func(s *session) string { return s.closeFile(3) }, "ok"},
	{"remove directory that is not empty", func(s *session) string { return s.remove("sub") }, "not empty"},
	{"remove in directory", func(s *session) string { return s.remove("sub/inner") }, "ok"},
	{"remove directory", func(s *session) string { return s.remove("sub") }, "ok"},
	{"remove open file", func(s *session) string { return s.remove("a") }, "ok"},
	{"removed file can be read", func(s *session) string { return s.read(2, 3, 0) }, `"new" ok`},
	{"close", func(s *session) string { return s.closeFile(0) }, "ok"},
	{"close again", func(s *session) string { return s.closeFile(0) }, "closed"},
	{"read closed", func(s *session) string { return s.read(0, 1, 0) }, `"" closed`},
	{"write closed", func(s *session) string { return s.write(0, "x") }, "0 closed"},
	{"sync closed", func(s *session) string { return s.sync(0) }, "closed"},
	{"chmod closed", func(s *session) string { return s.chmod(0, 0o600) }, "closed"},
	{"read names at the end", func(s *session) string { return s.names(".") }, `[] ok`},
}

// TestConformance performs the same steps on every implementation.
func TestConformance(t *testing.T) {
	for name, s := range implementations(t) {
		t.Run(name, func(t *testing.T) {
			defer s.close()
			for _, step := range steps {
				if got := step.run(s); got != step.want {
					t.Errorf("%s: %s, want %s", step.op, got, step.want)
				}
			}
		})
	}
}

// TestConformanceAtRandom performs random sequences on every implementation and
// compares each step with what the real file system does.
func TestConformanceAtRandom(t *testing.T) {
	rng := newRand(t)
	names := []string{"a", "b", "sub/inner", "sub/a", "sub", "no/a", "a/b", "sub/made/a"}
	name := func() string {
		// Mostly those that exist now and then.
		if rng.IntN(4) > 0 {
			return names[rng.IntN(3)]
		}
		return names[rng.IntN(len(names))]
	}
	const sequences, length = 60, 60
	for sequence := range sequences {
		sessions := implementations(t)
		var log []string
		for range length {
			op, run := randomStep(rng, name, len(sessions["os"].files))
			want := run(sessions["os"])
			log = append(log, op+": "+want)
			for impl, s := range sessions {
				if impl == "os" {
					continue
				}
				if got := run(s); got != want {
					t.Fatalf("sequence %d, %s: %s on the real file system, %s on %s; the steps were\n%s", sequence, op, want, got, impl, strings.Join(log, "\n"))
				}
			}
		}
		for _, s := range sessions {
			s.close()
		}
	}
}

func randomStep(rng *rand.Rand, name func() string, files int) (string, func(*session) string) {
	from, to := name(), name()
	n := rng.IntN(23)
	if files == 0 {
		n = rng.IntN(9)
	}
	file := rng.IntN(max(files, 1))
	off, length := int64(rng.IntN(40)), 1+rng.IntN(40)
	switch n {
	case 0, 1:
		return "create " + from, func(s *session) string { return s.create(from) }
	case 2, 3:
		return "open " + from, func(s *session) string { return s.open(from) }
	case 4:
		return "stat " + from, func(s *session) string { return s.stat(from) }
	case 5:
		// A directory stays where it is in crashfs.
		if from == "sub" || to == "sub" {
			from, to = "a", "b"
		}
		return "rename " + from + " to " + to, func(s *session) string { return s.rename(from, to) }
	case 6:
		if from == "sub/a" && rng.IntN(2) == 0 {
			from = "sub/made"
		}
		return "remove " + from, func(s *session) string { return s.remove(from) }
	case 7:
		return "read names", func(s *session) string { return s.names(".") + s.names("sub") }
	case 8:
		return "sync directory", func(s *session) string { return s.syncDir(".") }
	case 9, 10:
		return fmt.Sprint("read file ", file), func(s *session) string { return s.read(file, length, off) }
	case 11, 12:
		text := strings.Repeat(string(rune('a'+rng.IntN(26))), rng.IntN(20))
		return fmt.Sprint("write file ", file), func(s *session) string { return s.write(file, text) }
	case 13:
		mode := []fs.FileMode{0o600, 0o644, 0o666}[rng.IntN(3)]
		return fmt.Sprint("chmod file ", file), func(s *session) string { return s.chmod(file, mode) }
	case 14:
		return fmt.Sprint("sync file ", file), func(s *session) string { return s.sync(file) }
	case 15, 16:
		return fmt.Sprint("close file ", file), func(s *session) string { return s.closeFile(file) }
	case 17:
		// One that stays where it is; or what is there already, or cannot be.
		dir := []string{"sub/made", "sub/made", "sub", "no/made"}[rng.IntN(4)]
		return "make directory " + dir, func(s *session) string { return s.mkdir(dir) }
	case 18:
		return "lstat " + from, func(s *session) string { return s.lstat(from) }
	case 19:
		return "resolve " + from, func(s *session) string { return s.resolve(from) }
	default:
		// After Close the real one does not say ErrClosed.
		return fmt.Sprint("stat file ", file), func(s *session) string {
			return strings.Replace(s.fileStat(file), "closed", "other error", 1)
		}
	}
}

// TestStatDoesNotAllocate keeps the promise of the interface.
func TestStatDoesNotAllocate(t *testing.T) {
	for name, s := range implementations(t) {
		if !strings.Contains(name, "crashfs") {
			continue // the real file system is its own package's business
		}
		path := s.path("sub/inner")
		f, err := s.fs.Open(path)
		must(t, err)
		if n := testing.AllocsPerRun(100, func() {
			if _, err := s.fs.Stat(path); err != nil {
				t.Error(err)
			}
			if _, err := f.Stat(); err != nil {
				t.Error(err)
			}
		}); n != 0 {
			t.Errorf("%s: Stat allocates %v times", name, n)
		}
		f.Close()
	}
}
