package faults_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// systemCall is one that a worker makes between its start and its end, and the
// errors it is made to report. They are what the lock, the page, the watcher
// and the real file system do, none of which goes through vfs.FS or all of it.
type systemCall struct {
	name   string
	errors []string
}

// systemCalls leaves out those whose failure the Go runtime answers by ending
// the process, and close: made to fail by strace it does not happen, which no
// kernel does.
var systemCalls = []systemCall{
	{"openat", []string{"EIO", "EMFILE", "EACCES", "ENOSPC", "EINTR", "EROFS"}},
	{"newfstatat", []string{"EIO", "EACCES", "EINTR"}},
	{"fstat", []string{"EIO"}},
	{"readlinkat", []string{"EIO"}},
	{"mkdirat", []string{"EIO", "ENOSPC", "EROFS", "EDQUOT"}},
	{"flock", []string{"EIO", "ENOLCK", "EINTR"}},
	{"read", []string{"EIO", "EINTR"}},
	{"pread64", []string{"EIO", "EINTR"}},
	{"write", []string{"EIO", "ENOSPC", "EDQUOT", "EINTR"}},
	{"pwrite64", []string{"EIO", "ENOSPC"}},
	{"fchmod", []string{"EIO", "EROFS"}},
	{"utimensat", []string{"EIO", "EROFS"}},
	{"fsync", []string{"EIO", "ENOSPC", "EDQUOT", "EINTR"}},
	{"renameat", []string{"EIO", "ENOSPC", "EACCES", "EROFS"}},
	{"unlinkat", []string{"EIO", "EACCES", "EROFS"}},
	{"statfs", []string{"EIO", "EINTR"}},
	{"getdents64", []string{"EIO"}},
	{"inotify_init1", []string{"EMFILE"}},
	{"inotify_add_watch", []string{"ENOSPC", "EIO"}},
}

// strace returns how to run a program under strace, or skips.
func strace(t testing.TB) string {
	t.Helper()
	path, err := exec.LookPath("strace")
	if err == nil {
		err = exec.Command(path, "-f", "-o", os.DevNull, "-e", "inject=unlinkat:error=EIO", "true").Run()
	}
	if err != nil {
		t.Skipf("NOT TESTED: system calls cannot be made to fail without strace: %v", err)
	}
	return path
}

// tampering is one run of a worker of which one system call is tampered with.
type tampering struct {
	call string
	how  string // "error=EIO", "signal=SIGKILL"
	when string // "3": the third one, of each thread; "3+": from the third on
}

func (x tampering) String() string { return fmt.Sprintf("%s:%s:when=%s", x.call, x.how, x.when) }

const tamperedWrites = 3

// run works in dir under strace, and returns what the worker said and whether
// the tampering fired.
func (x tampering) run(strace, dir, prefix string) (lines []string, fired bool, err error) {
	log := filepath.Join(dir, "strace.log")
	defer os.Remove(log)
	before := []string{strace, "-f", "-q", "-o", log, "-e", "trace=" + x.call, "-e", "inject=" + x.String()}
	kill := strings.HasPrefix(x.how, "signal=")
	if !kill {
		before = append(before, "--seccomp-bpf") // faster, but no signal arrives
	}
	cmd, err := childCommand(before, roleWork, dir, prefix, fmt.Sprint(tamperedWrites))
	if err != nil {
		return nil, false, err
	}
	cmd.Env = append(cmd.Env, "GOMAXPROCS=1")
	c, err := startCommand(cmd)
	if err != nil {
		return nil, false, err
	}
	for {
		line, ok := c.line()
		if !ok {
			break
		}
		lines = append(lines, line)
	}
	err = c.cmd.Wait()
	text, rerr := os.ReadFile(log)
	if rerr != nil {
		return lines, false, rerr
	}
	if kill {
		if strings.Contains(string(text), "+++ killed by SIGKILL") {
			return lines, true, nil
		}
	} else if strings.Contains(c.err.String(), "runtime: netpollBreak write failed") {
		// The scheduler's own write: the process is gone, as if it was killed.
		return lines, true, nil
	}
	if strings.Contains(c.err.String(), "error while loading shared libraries") {
		return lines, false, nil // it was not the worker's call yet
	}
	if err != nil {
		err = fmt.Errorf("worker: %w: %s", err, c.err)
	}
	return lines, strings.Contains(string(text), "(INJECTED)"), err
}

// judge takes what the worker said, and demands that whatever failed did so
// because of the tampering.
func (x tampering) judge(l *ledger, prefix string, lines []string) error {
	for i := range tamperedWrites { // what was not answered may have happened
		l.try(fmt.Sprintf("%s-%d", prefix, i))
	}
	cause := strings.TrimPrefix(x.how, "error=")
	for _, line := range lines {
		if err := l.hear(line); err != nil {
			return err
		}
		if line[0] == '-' || line[0] == '!' {
			reason, known := reasons[cause]
			// A page that cannot be written is one without permission, whatever
			// the reason.
			page := cause == "EROFS" && strings.Contains(line, "revision page")
			// A lock that can never be unlocked is not free until its file is
			// closed, which is up to the garbage collector.
			stuck := x.call == "flock" && strings.HasSuffix(x.when, "+") && strings.Contains(line, "timed out")
			if !known || !strings.Contains(line, reason) && !page && !stuck {
				return fmt.Errorf("worker says %q, which %s does not explain", line, x)
			}
		}
	}
	return nil
}

// reasons are how Go words the errors.
var reasons = map[string]string{
	"EIO":    "input/output error",
	"EMFILE": "too many open files",
	"EACCES": "permission denied",
	"ENOSPC": "no space left on device",
	"EDQUOT": "disk quota exceeded",
	"EROFS":  "read-only file system",
	"ENOLCK": "no locks available",
	"EINTR":  "interrupted system call",
}

// once tampers in a directory of its own, and reports whether it fired.
func (x tampering) once(t testing.TB, strace string) (fired bool) {
	t.Helper()
	err := inDirectory(func(dir string) {
		l := newLedger()
		// A registry that is in use, left over from one that died.
		l.try("first-0")
		if err := work(dir, "first", l); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(leftover(0))), []byte("{"), 0o600); err != nil {
			t.Fatal(err)
		}
		lines, hit, err := x.run(strace, dir, "t")
		fired = hit
		if err == nil {
			err = x.judge(l, "t", lines)
		}
		if err == nil {
			err = l.checkAfter(dir)
		}
		if err != nil {
			t.Errorf("%s: %v\nthe worker said %q", x, err, lines)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return fired
}

// work lets an untampered worker add one machine.
func work(dir, prefix string, l *ledger) error {
	c, err := startChild(roleWork, dir, prefix, "1")
	if err != nil {
		return err
	}
	for {
		line, ok := c.line()
		if !ok {
			break
		}
		if err := l.hear(line); err != nil {
			return err
		}
	}
	if err := c.cmd.Wait(); err != nil {
		return errors.Join(err, errors.New(c.err.String()))
	}
	return nil
}

// TestSystemCallsFail makes the n-th of each system call of a worker fail, for
// n = 1, 2, 3, … until it does not make so many, once and from then on.
func TestSystemCallsFail(t *testing.T) {
	var all []tampering
	for _, call := range systemCalls {
		for _, e := range call.errors {
			all = append(all, tampering{call.name, "error=" + e, ""})
			// For ever is no interruption: Go tries again for ever. And without
			// write its scheduler cannot wake itself.
			if e != "EINTR" && call.name != "write" {
				all = append(all, tampering{call.name, "error=" + e, "+"})
			}
		}
	}
	tamper(t, all, budget(t, budgetSyscalls, 24))
}

// TestUnlockFails pins what the test above has found: an unlock that failed once
// kept all writers out until the process ended.
func TestUnlockFails(t *testing.T) {
	tool := strace(t)
	fired := 0
	for n := 2; n <= 5; n++ { // turnstile and lock, each locked and unlocked
		if (tampering{"flock", "error=EIO", fmt.Sprint(n)}).once(t, tool) {
			fired++
		}
	}
	if fired == 0 {
		t.Error("none fired")
	}
}

// TestKilledAtSystemCalls kills a worker when it is about to make its n-th of
// each system call. Together these are all the states in which a process that
// dies can leave the kernel.
func TestKilledAtSystemCalls(t *testing.T) {
	var all []tampering
	for _, call := range append(systemCalls, systemCall{name: "close"}, systemCall{name: "mmap"}, systemCall{name: "fcntl"}) {
		all = append(all, tampering{call.name, "signal=SIGKILL", ""})
	}
	tamper(t, all, budget(t, budgetKillPoints, 16))
}

// tamper tries all kinds in turn, each further on than the time before, until
// limit of them have fired or none does any more. strace counts the calls of
// each thread for itself, and the Go scheduler deals them out differently each
// time: only a few misses in a row mean that there are no more.
func tamper(t *testing.T, all []tampering, limit int) {
	tool := strace(t)
	rng := random(t)
	rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	const patience = 3
	misses := map[tampering]int{}
	fired, runs := 0, 0
	for n := 1; fired < limit && len(all) > 0; n++ {
		var further []tampering
		for _, kind := range all {
			if fired == limit {
				break
			}
			x := kind
			x.when = fmt.Sprint(n) + kind.when
			runs++
			if x.once(t, tool) {
				fired++
				misses[kind] = 0
			} else {
				misses[kind]++
			}
			if misses[kind] < patience {
				further = append(further, kind)
			}
			if t.Failed() {
				return
			}
		}
		all = further
	}
	t.Logf("%s fired in %s, of %d asked for", plural(fired, "tampering"), plural(runs, "run"), limit)
	if fired == 0 && limit > 0 {
		t.Error("none fired")
	}
}
