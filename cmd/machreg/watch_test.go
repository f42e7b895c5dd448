package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/machreg/machreg/filelock"
	"github.com/machreg/machreg/registry"
)

// machreg runs the program in this process and returns what it printed.
func machreg(t *testing.T, wantCode int, args ...string) (stdout, stderr string) {
	t.Helper()
	var out, err bytes.Buffer
	if code := run(t.Context(), args, strings.NewReader(""), &out, &err); code != wantCode {
		t.Fatalf("machreg %q: exit code %d, want %d\n%s%s", args, code, wantCode, out.String(), err.String())
	}
	return out.String(), err.String()
}

func TestWatchJSON(t *testing.T) {
	file := filepath.Join(t.TempDir(), "machines.json")
	machreg(t, 0, "-f", file, "add", "a", "--host", "a")
	r, w := io.Pipe()
	var stderr bytes.Buffer
	code := make(chan int)
	go func() {
		code <- run(t.Context(), []string{"-f", file, "watch", "--initial", "-o", "json"}, strings.NewReader(""), w, &stderr)
		w.Close()
	}()
	lines := bufio.NewScanner(r)
	next := func() (line watchLine) {
		t.Helper()
		if !lines.Scan() {
			t.Fatalf("watch ended: %v\n%s", lines.Err(), stderr.String())
		}
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			t.Fatalf("line %q: %v", lines.Text(), err)
		}
		return line
	}
	expect := func(from, to int, change, name string) (line watchLine) {
		t.Helper()
		line = next()
		got := fmt.Sprint(line.From, line.To, line.Change, line.Name)
		if want := fmt.Sprint(from, to, change, name); got != want {
			t.Fatalf("line %s, want %s", got, want)
		}
		return line
	}

	expect(0, 1, stepAdd, "a")
	expect(0, 1, stepAdd, "local")
	if line := expect(0, 1, stepCurrent, ""); *line.Machines != 2 {
		t.Errorf("current says %d machines, want 2", *line.Machines)
	}
	machreg(t, 0, "-f", file, "add", "b", "--host", "b")
	if line := expect(1, 2, stepAdd, "b"); line.New.Host != "b" || line.Old != nil {
		t.Errorf("added %+v, old %+v", line.New, line.Old)
	}
	machreg(t, 0, "-f", file, "add", "b", "--host", "c", "--key-path", "k")
	line := expect(2, 3, stepUpdate, "b")
	if got, want := fmt.Sprint(line.Fields), "[{host b c} {key_path  k}]"; got != want {
		t.Errorf("fields %s, want %s", got, want)
	}
	machreg(t, 0, "-f", file, "remove", "b")
	if line := expect(3, 4, stepRemove, "b"); line.Old.Host != "c" || line.New != nil {
		t.Errorf("removed %+v, new %+v", line.Old, line.New)
	}

	// The next write finds the pipe closed, which is how a reader says that it
	// has seen enough.
	r.Close()
	machreg(t, 0, "-f", file, "add", "d", "--host", "d")
	if got := <-code; got != exitDone {
		t.Errorf("exit code %d after the reader has gone, want 0\n%s", got, stderr.String())
	}
}

func TestLockTimeoutNamesTheHolder(t *testing.T) {
	file := filepath.Join(t.TempDir(), "machines.json")
	path, err := registry.LockPath(file, nil)
	if err != nil {
		t.Fatal(err)
	}
	held, err := filelock.New(path, &filelock.Options{Program: "holder-of-the-lock"}).Lock(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"add", "a", "--host", "a"},
		{"remove", "a"},
		{"import", "ssh-config", "../../examples/ssh_config"},
	} {
		_, stderr := machreg(t, exitLocked, append([]string{"-f", file, "--lock-timeout", "0"}, args...)...)
		for _, want := range []string{fmt.Sprintf("pid %d", os.Getpid()), "holder-of-the-lock", "hint: \"machreg lock status\""} {
			if !strings.Contains(stderr, want) {
				t.Errorf("machreg %v: no %q in %q", args, want, stderr)
			}
		}
	}
	out, _ := machreg(t, 0, "-f", file, "lock", "status")
	if !strings.Contains(out, "held exclusively by") || !strings.Contains(out, "holder-of-the-lock") {
		t.Errorf("lock status: %q", out)
	}
	out, _ = machreg(t, 0, "-f", file, "lock", "status", "-o", "json")
	if !strings.Contains(out, `"held": "yes"`) {
		t.Errorf("lock status: %q", out)
	}
	if out, _ := machreg(t, 0, "-f", file, "lock", "clean"); out != "nothing to remove\n" {
		t.Errorf("lock clean removed a held lock: %q", out)
	}
	// Reading does not wait for it.
	if out, _ := machreg(t, 0, "-f", file, "list", "-q"); out != "local\n" {
		t.Errorf("list: %q", out)
	}
	if err := held.Unlock(); err != nil {
		t.Fatal(err)
	}
	machreg(t, 0, "-f", file, "--lock-timeout", "0", "add", "a", "--host", "a")
}
