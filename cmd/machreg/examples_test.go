package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// TestHelpExamples runs the examples of every command as they stand, line by
// line, in a shell in which machreg is this binary. A command without an example
// fails.
func TestHelpExamples(t *testing.T) {
	shell, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("NOT TESTED: no bash here, so the examples of the help are not run")
	}
	bin := t.TempDir()
	// Examples pipe into programs that not everybody has, and open pages.
	for _, name := range []string{"jq", "man"} {
		if err := os.WriteFile(filepath.Join(bin, name), []byte("#!/bin/sh\nexec head -n 1\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	each(newApp(nil, nil, nil).rootCommand(), func(c *cobra.Command) {
		if !c.IsAvailableCommand() && c.HasParent() {
			return
		}
		t.Run(strings.ReplaceAll(c.CommandPath(), " ", "_"), func(t *testing.T) {
			if !c.HasExample() {
				t.Fatalf("%s has no example", c.CommandPath())
			}
			t.Parallel()
			dir := t.TempDir()
			write(t, filepath.Join(dir, ".ssh", "config"), "Host a b\n  User u\n")
			environ := append(os.Environ(), "HOME="+dir, "MACHREG_FILE="+filepath.Join(dir, "machines.json"), "VISUAL=",
				"PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"), "TMPDIR="+dir)
			for line := range strings.Lines(c.Example) {
				line = strings.TrimSpace(line)
				switch c.Name() {
				case "watch":
					if !strings.Contains(line, "|") {
						line += " | true" // it ends when nobody reads it
					}
				case "edit":
					line = "machreg add build-01 --host ci@build-01.example.net >/dev/null; EDITOR=true; export EDITOR; " + line
				}
				var out bytes.Buffer
				cmd := exec.CommandContext(t.Context(), shell, "-o", "pipefail", "-c", line)
				cmd.Dir, cmd.Env = dir, environ
				cmd.Stdout, cmd.Stderr, cmd.Stdin = &out, &out, strings.NewReader("")
				if err := cmd.Run(); err != nil {
					t.Errorf("%s: %v\n%s", line, err, out.String())
				}
			}
		})
	})
}
