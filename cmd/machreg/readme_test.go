package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// TestReadme replays what README.md shows of the command line, and compares
// what is printed. A line "…" stands for any number of lines; a command with
// nothing under it only has to succeed. Commands of the go tool are not run
// here, but for "go run ./cmd/machreg", which is this binary.
func TestReadme(t *testing.T) {
	shell, err := exec.LookPath("bash")
	if err != nil || runtime.GOOS == "windows" {
		t.Skip("NOT TESTED: no bash here, so the sessions of the README are not replayed")
	}
	text, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for i, block := range regexp.MustCompile("(?ms)^```console\n(.*?)^```$").FindAllStringSubmatch(string(text), -1) {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			dir := readmeWorkspace(t)
			environ := append(os.Environ(), "HOME="+dir, "MACHREG_FILE=machines.json", "EDITOR=true", "VISUAL=", "TMPDIR="+dir,
				"PATH="+filepath.Join(dir, "bin")+string(os.PathListSeparator)+os.Getenv("PATH"))
			for _, step := range readmeSteps(block[1]) {
				command := strings.Replace(step.command, "go run ./cmd/machreg", "machreg", 1)
				switch {
				case strings.HasPrefix(command, "go "):
					continue
				case strings.HasPrefix(command, "machreg compare"):
					command += " --duration 100ms --rounds 1"
				case strings.HasPrefix(command, "machreg watch"):
					command += " | head -n 1"
				}
				seen++
				var out bytes.Buffer
				cmd := exec.CommandContext(t.Context(), shell, "-c", command)
				cmd.Dir, cmd.Env = dir, environ
				cmd.Stdout, cmd.Stderr = &out, &out
				err := cmd.Run()
				switch {
				case step.want == "" && err != nil:
					t.Errorf("$ %s\n%s%v", command, &out, err)
				case step.want != "" && !matches(step.want, out.String()):
					t.Errorf("$ %s\n%swant\n%s", command, &out, step.want)
				}
			}
		})
	}
	if seen < 20 {
		t.Errorf("only %d commands were found", seen)
	}
}

// readmeWorkspace is a directory with what the commands of the README take for
// granted.
func readmeWorkspace(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	config, err := os.ReadFile(filepath.Join("..", "..", "examples", "ssh_config"))
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "examples", "ssh_config"), string(config))
	write(t, filepath.Join(dir, ".ssh", "config.d", "other"), "")
	write(t, filepath.Join(dir, "fleet.json"), `[{"name":"build-03","type":"ssh","host":"ci@build-03"}]`)
	ssh := filepath.Join(dir, "bin", "ssh")
	write(t, ssh, "#!/bin/sh\n")
	if err := os.Chmod(ssh, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

type readmeStep struct{ command, want string }

func readmeSteps(block string) (steps []readmeStep) {
	trailing := regexp.MustCompile(` {2,}# .*`)
	for line := range strings.Lines(block) {
		if command, ok := strings.CutPrefix(line, "$ "); ok {
			command = strings.TrimSpace(trailing.ReplaceAllString(command, ""))
			steps = append(steps, readmeStep{command: command})
		} else if len(steps) > 0 {
			steps[len(steps)-1].want += line
		}
	}
	return steps
}

// matches compares an output with what a document shows of it.
func matches(want, got string) bool {
	parts := strings.Split(want, "…\n")
	for i := range parts {
		parts[i] = regexp.QuoteMeta(parts[i])
	}
	return regexp.MustCompile("(?s)^" + strings.Join(parts, ".*") + "$").MatchString(got)
}

// TestExitCodesAreDocumented holds the README to the help topic, and that to
// the constants.
func TestExitCodesAreDocumented(t *testing.T) {
	codes := []int{exitDone, exitError, exitUsage, exitNotFound, exitConflict, exitLocked, exitCorrupt}
	listed := regexp.MustCompile(`(?m)^  (\d+)  ([^:\n]+)`).FindAllStringSubmatch(exitHelp, -1)
	if len(listed) != len(codes) {
		t.Fatalf("the help lists %d codes, want %d", len(listed), len(codes))
	}
	var short []string
	for i, m := range listed {
		if m[1] != fmt.Sprint(codes[i]) {
			t.Errorf("the help lists %s, want %d", m[1], codes[i])
		}
		short = append(short, m[1]+" "+m[2])
	}
	readme, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	if want := strings.Join(short, ", ") + "."; !strings.Contains(string(readme), want) {
		t.Errorf("README.md does not say %q", want)
	}
}

func TestFlagsAreDocumented(t *testing.T) {
	each(newApp(nil, nil, nil).rootCommand(), func(c *cobra.Command) {
		if c.Hidden {
			return
		}
		if c.Short == "" || c.Long == "" && !c.HasSubCommands() && c.Name() != "version" {
			t.Errorf("%s: short %q, long %q", c.CommandPath(), c.Short, c.Long)
		}
		c.LocalFlags().VisitAll(func(f *pflag.Flag) {
			if f.Usage == "" || f.Hidden {
				t.Errorf("%s --%s: usage %q, hidden %v", c.CommandPath(), f.Name, f.Usage, f.Hidden)
			}
		})
	})
}
