package registry_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/machreg/machreg/internal/vfs"
	"github.com/machreg/machreg/internal/vfs/errorfs"
	"github.com/machreg/machreg/registry"
)

// What an operation costs, counted and not timed. Each figure is exact: one
// more is a regression that a benchmark would lose in its noise, one less is an
// improvement that belongs here.

// filled opens a registry with n machines of equal size, and nothing running
// beside it. It has committed twice, so that what is done once is done.
func filled(t testing.TB, path string, n int, o registry.Options) *registry.MachineRegistry {
	t.Helper()
	o.Refresh, o.Sync = registry.RefreshNever, registry.SyncNone
	r := open(t, path, &o)
	put := func(first, last int) {
		if _, err := r.Update(t.Context(), func(tx *tx) error {
			for i := first; i < last; i++ {
				if err := tx.Put(guardName(i), machineOf(guardName(i))); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	put(0, n-1)
	put(n-1, n)
	return r
}

func guardName(i int) string { return fmt.Sprintf("m-%06d", i) }

// touch changes the machines from first to before last, or changes them back.
func touch(t testing.TB, r *registry.MachineRegistry, first, last int) {
	t.Helper()
	if _, err := r.Update(t.Context(), func(tx *tx) error {
		for i := first; i < last; i++ {
			m, err := tx.Get(guardName(i))
			if err != nil {
				return err
			}
			if m == machineOf(m.Name) {
				m.KeyPath = "/touched"
			} else {
				m = machineOf(m.Name)
			}
			if err := tx.Put(m.Name, m); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

func TestGuardReadAllocations(t *testing.T) {
	for _, n := range []int{10, 10_000} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			r := filled(t, newPath(t), n, registry.Options{})
			name, ctx := guardName(n/2), t.Context()
			want := machineOf(name)
			if mode := r.Stats().Latest; mode.Name != registry.ModePage {
				t.Logf("NOT TESTED: Latest by the page, which cannot be had here: %v", mode.Err)
			}
			reads := map[string]func() bool{
				"Get": func() bool { m, err := r.Get(name); return err == nil && m == want },
				"Latest and Get": func() bool {
					snap, err := r.Latest(ctx)
					if err != nil {
						return false
					}
					m, ok := snap.Get(name)
					return ok && m == want
				},
			}
			if r.Stats().Latest.Name != registry.ModePage {
				delete(reads, "Latest and Get")
			}
			for what, read := range reads {
				right := true
				if got := testing.AllocsPerRun(1000, func() { right = right && read() }); got != 0 {
					t.Errorf("%s allocates %v times", what, got)
				}
				if !right {
					t.Errorf("%s gives something else", what)
				}
			}
		})
	}
}

// TestGuardCommitOperations pins what a commit by a handle that nobody got in
// the way of does to the file system, in order. The bytes are those of the new
// file, in one write if it is a small one, and in blocks of 256 KiB otherwise.
func TestGuardCommitOperations(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("NOT TESTED: the operations of a commit where no descriptor stays open")
	}
	for _, c := range []struct{ machines, writes int }{{2, 1}, {10, 1}, {1000, 1}, {10_000, 6}} {
		t.Run(fmt.Sprint(c.machines), func(t *testing.T) {
			disk := errorfs.Wrap(vfs.OS)
			path := newPath(t)
			r := filled(t, path, c.machines, registry.Options{FS: disk})
			disk.Record()
			add(t, r, guardName(c.machines/2)+"x") // one more machine
			var got []string
			written, writes := 0, 0
			for _, op := range disk.Trace() {
				if op.Kind == errorfs.Close {
					continue // of the version before, in the background
				}
				if op.Kind == errorfs.Write {
					written += op.Bytes
					if writes++; writes > 1 {
						continue
					}
				}
				role := "TEMP"
				if op.Path == path {
					role = "FILE"
				}
				got = append(got, op.Kind.String()+" "+role)
			}
			want := []string{
				// The refresh is skipped. The version that it finds unchanged
				// was once created under a temporary name.
				"lstat FILE", "stat FILE", "read TEMP",
				"lstat FILE", // whose mode and owner to keep
				"create TEMP", "write TEMP", "stat file TEMP", "sync TEMP",
				"lstat FILE", // the fence
				"rename TEMP",
			}
			if !slices.Equal(got, want) {
				t.Errorf("a commit does\n%q, want\n%q", got, want)
			}
			if size := len(guardRead(t, path)); written != size {
				t.Errorf("%d bytes were written for a file of %d", written, size)
			}
			if writes != c.writes {
				t.Errorf("%d writes, want %d", writes, c.writes)
			}
		})
	}
}

func guardRead(t testing.TB, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// TestGuardGroupIsOneCommit pins that a transaction of any size writes the
// file once.
func TestGuardGroupIsOneCommit(t *testing.T) {
	disk := errorfs.Wrap(vfs.OS)
	r := filled(t, newPath(t), 1000, registry.Options{FS: disk})
	disk.Record()
	touch(t, r, 0, 500)
	creates := 0
	for _, op := range disk.Trace() {
		if op.Kind == errorfs.Create {
			creates++
		}
	}
	if creates != 1 {
		t.Errorf("%d files were written, want 1", creates)
	}
}

// TestGuardDecodedEntries pins that a handle decodes what changed, and nothing
// else: not what it wrote itself, not what it looked at before.
func TestGuardDecodedEntries(t *testing.T) {
	const n = 10_000
	path := newPath(t)
	writer := filled(t, path, n, registry.Options{})
	reader := open(t, path, &registry.Options{Refresh: registry.RefreshNever})
	all := uint64(writer.Len())
	step := func(what string, wantLoads, wantParsed uint64, do func()) {
		t.Helper()
		before := reader.Stats()
		do()
		if err := reader.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		after := reader.Stats()
		if loads, parsed := after.Loads-before.Loads, after.Parsed-before.Parsed; loads != wantLoads || parsed != wantParsed {
			t.Errorf("%s: read %d times, decoded %d entries; want %d and %d", what, loads, parsed, wantLoads, wantParsed)
		}
	}
	if st := reader.Stats(); st.Loads != 1 || st.Parsed != all {
		t.Errorf("open: read %d times, decoded %d entries; want 1 and %d", st.Loads, st.Parsed, all)
	}
	step("nothing", 0, 0, func() {})
	step("one changed", 1, 1, func() { touch(t, writer, 5000, 5001) })
	step("one percent changed", 1, n/100, func() { touch(t, writer, 2000, 2000+n/100) })
	step("one added in front", 1, 1, func() { add(t, writer, "a") })
	step("one removed", 1, 0, func() {
		if _, err := writer.Remove(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
	})
	step("three commits", 1, 2, func() {
		touch(t, writer, 1, 2)
		touch(t, writer, 1, 2)
		touch(t, writer, 3, 5)
	})
	step("its own write", 0, 0, func() { touch(t, reader, 7, 8) })
	before := writer.Stats()
	touch(t, writer, 9, 10) // finds the reader's commit under the lock
	if st := writer.Stats(); st.Loads != before.Loads+1 || st.Parsed != before.Parsed+1 {
		t.Errorf("a commit after another's: read %d times, decoded %d entries; want 1 and 1", st.Loads-before.Loads, st.Parsed-before.Parsed)
	}
}

// guardCommits is how many commits are counted.
const guardCommits = 20

var guardProgram = program("guard", func(args []string) error {
	r, err := registry.OpenMachines(args[0], &registry.Options{Refresh: registry.RefreshNever, PollInterval: time.Hour})
	if err != nil {
		return err
	}
	ctx := context.Background()
	commit := func(i int) error {
		_, err := r.Add(ctx, machineOf(fmt.Sprint("m-", i)))
		return err
	}
	for i := range 3 { // what is done once
		if err := commit(i); err != nil {
			return err
		}
	}
	// Two look-ups of files that are not there frame the counted commits.
	os.Stat(guardBegin)
	for i := range guardCommits {
		if err := commit(100 + i); err != nil {
			return err
		}
	}
	os.Stat(guardEnd)
	return r.Close()
})

const (
	guardBegin = "/guard-begin"
	guardEnd   = "/guard-end"
)

// guardIgnored are the calls with which the Go runtime schedules goroutines
// and keeps its memory; how many there are is up to chance.
var guardIgnored = []string{
	"clock_nanosleep", "clone", "clone3", "epoll_pwait", "epoll_pwait2", "exit", "futex", "getpid", "gettid", "madvise", "mmap",
	"mprotect", "munmap", "nanosleep", "prctl", "restart_syscall", "rseq", "rt_sigaction", "rt_sigprocmask", "rt_sigreturn",
	"sched_getaffinity", "sched_yield", "set_robust_list", "sigaltstack", "tgkill",
}

// TestGuardSystemCalls pins which system calls one durable commit of one
// process alone makes, the lock and the page included.
func TestGuardSystemCalls(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skipf("NOT TESTED: the system calls of a commit on %s, which has others", runtime.GOOS)
	}
	strace, err := exec.LookPath("strace")
	if err == nil {
		err = exec.Command(strace, "-f", "-o", os.DevNull, "true").Run()
	}
	if err != nil {
		t.Skipf("NOT TESTED: the system calls of a commit, which cannot be counted without strace: %v", err)
	}
	path := newPath(t)
	log := filepath.Join(t.TempDir(), "strace.log")
	cmd := childCommand(t, guardProgram, path)
	cmd.Path, cmd.Args = strace, append([]string{strace, "-f", "-q", "-o", log}, cmd.Args...)
	// No collection, and no look at how many processors there are now.
	cmd.Env = append(cmd.Env, "GOGC=off", "GOMAXPROCS=2")
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	got, err := guardCount(log)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]int{
		// The turnstile, the lock and its record; the new file; the directory.
		// What is closed is the version before, not the new one.
		"openat": 5, "close": 5,
		// The runtime asks whether each of them can be polled.
		"epoll_ctl": 5,
		// The lock directory and the lock's identity, twice; the file's directory,
		// and whether the file is a link; the page, three times; the file, to skip
		// the refresh, for its mode, and as the fence.
		"newfstatat": 11,
		// The identity of the turnstile and the lock; the new file.
		"fstat": 3,
		// Turnstile, lock and new file, and their release; the old file stays
		// locked until it is closed.
		"flock": 7,
		// The head of the file; the holder's record and its end.
		"pread64": 1, "pwrite64": 2,
		"write": 1, "fsync": 2, "renameat": 1,
	}
	// The version before is closed in the background: the markers may cut one
	// off at either end.
	if n := want["close"] * guardCommits; got["close"] >= n-1 && got["close"] <= n+1 {
		got["close"] = n
	}
	for name, n := range got {
		if n%guardCommits != 0 {
			t.Errorf("%s: %d calls in %d commits", name, n, guardCommits)
		}
		got[name] = n / guardCommits
	}
	if !maps.Equal(got, want) {
		t.Errorf("a commit makes the system calls\n%v, want\n%v", got, want)
	}
}

// guardCall matches the line with which a call begins in a log of strace -f.
var guardCall = regexp.MustCompile(`^\d+ +(\w+)\(([^,)]*)(.*)$`)

// guardCount counts the calls between the markers, by name.
func guardCount(log string) (map[string]int, error) {
	data, err := os.ReadFile(log)
	if err != nil {
		return nil, err
	}
	counts := make(map[string]int)
	wakeups := "none" // the descriptor through which the scheduler wakes itself
	inside := false
	for lines := bufio.NewScanner(bytes.NewReader(data)); lines.Scan(); {
		m := guardCall.FindStringSubmatch(lines.Text())
		switch {
		case m == nil:
		case m[1] == "eventfd2":
			_, wakeups, _ = strings.Cut(m[3], "= ")
		case strings.Contains(m[3], guardBegin):
			inside = true
		case strings.Contains(m[3], guardEnd):
			return counts, nil
		case inside && !slices.Contains(guardIgnored, m[1]) && m[2] != wakeups:
			counts[m[1]]++
		}
	}
	return nil, errors.New("strace: the markers were not seen")
}
