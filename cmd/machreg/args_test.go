package main

import (
	"bytes"
	"context"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/machreg/machreg/snapshot"
)

// FuzzArgs gives the program any arguments, separated by newlines, and any
// input. It must not panic, must end with one of the documented codes, and must
// print nothing that could drive a terminal.
func FuzzArgs(f *testing.F) {
	each(newApp(nil, nil, nil).rootCommand(), func(c *cobra.Command) {
		for line := range strings.Lines(c.Example) {
			f.Add(strings.Join(strings.Fields(line)[1:], "\n"), "")
		}
	})
	for _, args := range []string{
		"", "list\n-o\njson", "list\n-o\ntemplate={{.Name}}", "list\n--match\n[", "add\n\x1b[31m\n--host\nh", "add\n\xff\n--type\nx",
		"add\na\u202eb\n--host\n-oX", "get\nlocal\n--at-least\n18446744073709551615\n--timeout\n1ns", "remove\nlocal\na",
		"-f\nlink.json\nlist", "-f\n\nlist", "--color\nalways\nverify", "ssh\na\n--print\n--\necho\n'", "import\nssh-config\n-",
		"apply\n-\n--prune", "diff\n-", "export\nprometheus\n--port\n-1", "lock\nclean", "__complete\nget\n\x1b", "__complete\nlist\n-o\n",
		"help\nlock\nstatus", "edit\na", "rename\na\n\x00", "\x1b]0;title\a", "--\x1b", "-\x9b",
	} {
		f.Add(args, "")
	}
	f.Add("import\nssh-config\n-", "Host \x1b[31m a\n HostName \u202e\n")
	f.Add("apply\n-", `[{"name":"\u001b","type":"x"}]`)
	f.Add("apply\n-", `{"machines":{"x":{"type":"ssh","host":"h","\u202e":1}}}`)

	f.Fuzz(func(t *testing.T, line, input string) {
		args := strings.Split(line, "\n")
		for _, a := range args {
			if strings.ContainsAny(a, `/\~`) || strings.Contains(a, "..") {
				t.Skip("the arguments may name a file outside of the test's directory")
			}
		}
		dir := t.TempDir()
		t.Chdir(dir)
		for name, value := range map[string]string{"MACHREG_FILE": "m.json", "HOME": dir, "PATH": dir, "VISUAL": "exit 0;", "TMPDIR": dir, "XDG_CONFIG_HOME": dir} {
			t.Setenv(name, value)
		}
		content := `{"version":1,"machines":{"a":{"type":"ssh","host":"h"},"bad\u001b":{"type":"ssh"}}}`
		if err := os.WriteFile("m.json", []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		// A watch ends with its context.
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		var stdout, stderr bytes.Buffer
		code := run(ctx, args, strings.NewReader(input), &stdout, &stderr)
		if code < exitDone || code > exitCorrupt {
			t.Errorf("machreg %q: exit code %d", args, code)
		}
		if code != exitDone && stderr.Len() == 0 && !slices.Contains(args, "verify") {
			t.Errorf("machreg %q: exit code %d without a word", args, code)
		}
		checkHarmless(t, args, stdout.String())
		checkHarmless(t, args, stderr.String())
	})
}

// checkHarmless looks for what must not reach a terminal. Colours that were
// asked for are the program's own.
func checkHarmless(t *testing.T, args []string, output string) {
	t.Helper()
	var colors []string
	for _, style := range []string{"0", "1", "2", "31", "32", "33", "36", "1;4", "1;31"} {
		colors = append(colors, "\x1b["+style+"m", "")
	}
	if strings.Contains(strings.Join(args, " "), "always") {
		output = strings.NewReplacer(colors...).Replace(output)
	}
	if strings.Contains(strings.Join(args, " "), "template") {
		return // the template's own text is the user's
	}
	for line := range strings.Lines(output) {
		// Tabs stand in the completion protocol and in scripts.
		text := strings.ReplaceAll(strings.TrimSuffix(line, "\n"), "\t", "")
		if err := snapshot.CheckText(text); err != nil {
			t.Errorf("machreg %q prints %q: %v", args, line, err)
		}
	}
}
