package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/machreg/machreg/internal/sandbox"
)

// bare is a file system that holds the program and nothing else: no /proc, no
// /tmp, no shell, no list of users. There is no environment either.
type bare struct{ root string }

func newBare(t *testing.T) bare {
	t.Helper()
	tool, err := exec.LookPath("go")
	if err != nil {
		t.Skipf("NOT TESTED: no go tool to build the program with: %v", err)
	}
	b := bare{t.TempDir()}
	sandbox.Mount(t, "none", b.root, "tmpfs", 0, "size=256m,mode=755")
	build := exec.CommandContext(t.Context(), tool, "build", "-o", filepath.Join(b.root, "machreg"), ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return b
}

func (b bare) command(env []string, args ...string) (cmd *exec.Cmd, stdout, stderr *bytes.Buffer) {
	cmd = exec.Command("/machreg", args...)
	cmd.Dir, cmd.Env = "/", append([]string{}, env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: b.root, Pdeathsig: syscall.SIGKILL}
	stdout, stderr = new(bytes.Buffer), new(bytes.Buffer)
	cmd.Stdout, cmd.Stderr = stdout, stderr
	return cmd, stdout, stderr
}

// TestBareContainer runs every kind of command where there is nothing but the
// program: it works, or says what it lacks.
func TestBareContainer(t *testing.T) {
	if !sandbox.Enter(t, sandbox.Mounts) {
		return
	}
	b := newBare(t)

	// Two processes at a time start a registry and fill it.
	var all sync.WaitGroup
	var mu sync.Mutex
	said := ""
	for _, worker := range []string{"a", "b"} {
		all.Go(func() {
			for i := range 5 {
				cmd, _, stderr := b.command(nil, "-f", "/fleet/m.json", "add", fmt.Sprint(worker, i), "--host", "ci@h")
				err := cmd.Run()
				mu.Lock()
				said += stderr.String()
				mu.Unlock()
				if err != nil {
					t.Errorf("add %s%d: %v: %s", worker, i, err, stderr)
				}
			}
		})
	}
	all.Wait()
	if said != "machreg: note: started a new registry at /fleet/m.json\n" {
		t.Errorf("while the registry was started: %q, want one note", said)
	}

	tmp := []string{"TMPDIR=/fleet"}
	for _, tt := range []struct {
		env            []string
		args           string
		code           int
		stdout, stderr string
	}{
		{nil, "-f /fleet/m.json list -q", 0, "a0\na1\na2\na3\na4\nb0\nb1\nb2\nb3\nb4\nlocal\n", ""},
		{nil, "-f /fleet/m.json get a0 -o json", 0, `"host": "ci@h"`, ""},
		{nil, "-f /fleet/m.json get a0 --at-least 10 -o name", 0, "a0\n", ""},
		{nil, "-f fleet/m.json revision", 0, "10\n", ""},
		{nil, "-f /fleet/m.json export ssh-config", 0, "Host a0", ""},
		{nil, "-f /fleet/m.json export csv", 0, "a0,ssh,ci@h,,", ""},
		{nil, "-f /fleet/m.json verify", 0, "in use: readers learn of new revisions at once", ""},
		{nil, "-f /fleet/m.json lock status", 0, "/fleet/.gastown/locks/m.json.lock: free", ""},
		{nil, "-f /fleet/m.json rename b4 c", 0, "renamed b4 to c", ""},
		{nil, "-f /fleet/m.json remove c", 0, "removed c", ""},
		{nil, "-f /fleet/m.json ssh a0 --print", 0, "ssh -- ci@h\n", ""},
		{nil, "completion bash", 0, "machreg", ""},
		{nil, "version", 0, "machreg", ""},

		{nil, "list", 1, "", "name one with --file or MACHREG_FILE"},
		{nil, "-f /fleet/m.json edit a0", 1, "", "hint: set TMPDIR"},
		{tmp, "-f /fleet/m.json edit a0", 1, "", "hint: editors are started by /bin/sh, which is not here"},
		{nil, "-f /fleet/m.json ssh a0", 1, "", "hint: install the OpenSSH client"},
		{nil, "-f /fleet/m.json import ssh-config", 1, "", "hint: set HOME, or name the file"},
		{nil, "compare --duration 10ms --rounds 1", 1, "", "hint: name a directory with --dir, or set TMPDIR"},
		{nil, "compare --check --sequences 2", 1, "", "hint: name a directory with --dir, or set TMPDIR"},
		{nil, "compare --dir /fleet --check --sequences 2", 0, "", ""},
		{tmp, "compare --contestants machreg --processes 2 --duration 50ms --rounds 1", 0, "writes acknowledged", ""},
	} {
		cmd, stdout, stderr := b.command(tt.env, strings.Fields(tt.args)...)
		if cmd.Run(); cmd.ProcessState.ExitCode() != tt.code || !strings.Contains(stdout.String(), tt.stdout) ||
			!strings.Contains(stderr.String(), tt.stderr) || tt.stderr == "" && stderr.Len() > 0 {
			t.Errorf("machreg %s: exit code %d\n%s%s\nwant %d, %q, %q", tt.args, cmd.ProcessState.ExitCode(), stdout, stderr, tt.code, tt.stdout, tt.stderr)
		}
	}
	if left, err := filepath.Glob(filepath.Join(b.root, "fleet", "machreg-*")); err != nil || len(left) > 0 {
		t.Errorf("left in the directory for temporary files: %q, %v", left, err)
	}
	b.watch(t)
}

// watch expects a change that another process makes.
func (b bare) watch(t *testing.T) {
	watch, _, stderr := b.command(nil, "-f", "/fleet/m.json", "watch", "--initial", "-o", "json")
	watch.Stdout = nil
	out, err := watch.StdoutPipe()
	if err == nil {
		err = watch.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	defer watch.Process.Kill()
	lines := bufio.NewScanner(out)
	seen := func(text string) {
		t.Helper()
		for lines.Scan() {
			if strings.Contains(lines.Text(), text) {
				return
			}
		}
		t.Fatalf("watch ended without %q: %s", text, stderr)
	}
	seen(`"change":"current"`)
	if cmd, _, stderr := b.command(nil, "-f", "/fleet/m.json", "add", "new", "--host", "h"); cmd.Run() != nil {
		t.Fatalf("add: %s", stderr)
	}
	seen(`"change":"added","name":"new"`)
	if err := watch.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	for lines.Scan() {
	}
	if err := watch.Wait(); err != nil || stderr.Len() > 0 {
		t.Errorf("watch: %v: %s", err, stderr)
	}
}
