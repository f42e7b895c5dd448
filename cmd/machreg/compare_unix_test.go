//go:build unix

package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// TestCompareInterrupted presses Ctrl-C, which all processes of the comparison
// receive, once its workers have begun to write. It must report what it has,
// leave nothing behind and end well.
func TestCompareInterrupted(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(t.Context(), self, "compare", "--preset", "contended", "--processes", "2", "--goroutines", "2",
		"--duration", "1h", "--rounds", "1", "--dir", dir, "-o", "json")
	cmd.Args[0] = "machreg"
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
	for !worked(t, dir) {
		time.Sleep(10 * time.Millisecond)
	}
	if err := syscall.Kill(-cmd.Process.Pid, syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("machreg compare after an interrupt: %v\n%s", err, stderr.String())
	}
	var report struct {
		Interrupted bool
		Results     []struct {
			Name         string
			Acknowledged int `json:"acknowledged_writes"`
		}
	}
	if err := json.Unmarshal(stdout.Bytes(), &report); err != nil {
		t.Fatalf("%v\n%s", err, stdout.String())
	}
	acknowledged := 0
	for _, r := range report.Results {
		acknowledged += r.Acknowledged
	}
	if !report.Interrupted || len(report.Results) != 3 || acknowledged == 0 {
		t.Errorf("report of an interrupted run: %+v", report)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// worked reports whether some write was acknowledged in a comparison in dir.
func worked(t *testing.T, dir string) bool {
	journals, err := filepath.Glob(filepath.Join(dir, "*", "*", "journal-*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range journals {
		if text, err := os.ReadFile(path); err == nil && bytes.Contains(text, []byte(" a ")) {
			return true
		}
	}
	return false
}
