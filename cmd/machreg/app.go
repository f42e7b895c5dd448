package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/machreg/machreg/cmd/machreg/internal/terminal"
	"github.com/machreg/machreg/filelock"
)

// app is one run of the program: its streams, its environment and the flags
// that all commands have.
type app struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	getenv         func(string) string
	// out and err are what commands print to; they know about colour once the
	// flags are read.
	out, err *terminal.Printer

	file        string
	color       terminal.Color
	lockTimeout time.Duration

	command *cobra.Command // the one that runs
	started bool           // its arguments were accepted
	// status overrides the exit code of a command that ended well.
	status int
}

func newApp(stdin io.Reader, stdout, stderr io.Writer) *app {
	a := &app{stdin: stdin, stdout: stdout, stderr: stderr, getenv: os.Getenv, color: terminal.Auto}
	a.style()
	return a
}

// style makes the printers as the flags say. Nothing was printed yet.
func (a *app) style() {
	a.out = terminal.New(a.stdout, a.color, a.getenv)
	a.err = terminal.New(a.stderr, a.color, a.getenv)
}

// finish flushes, reports err, and chooses the exit code.
func (a *app) finish(err error) int {
	ferr := a.out.Flush()
	if terminal.IsClosed(ferr) || terminal.IsClosed(err) {
		return exitDone // whoever read the output has seen enough
	}
	if err == nil && ferr != nil {
		err = fmt.Errorf("write output: %w", ferr)
	}
	if err == nil {
		return a.status
	}
	code := exitCode(err)
	if !a.started && code == exitError {
		code = exitUsage
	}
	a.report(err, a.hint(err, code))
	return code
}

// report prints an error and what to do about it.
func (a *app) report(err error, hint string) {
	text := strings.ReplaceAll(terminal.SafeLines(err.Error()), "\n", "\n  ")
	a.err.Printf("%s %s\n", a.err.Paint(terminal.Alert, "machreg:"), text)
	if hint != "" {
		a.err.Printf("%s %s\n", a.err.Paint(terminal.Faint, "hint:"), hint)
	}
	a.err.Flush()
}

// warn prints what the user should know although the command goes on.
func (a *app) warn(format string, args ...any) {
	a.tell(a.err.Paint(terminal.Note, "machreg: warning:"), format, args)
}

// note prints what the user may want to know, and which is as it should be.
func (a *app) note(format string, args ...any) {
	a.tell(a.err.Paint(terminal.Faint, "machreg: note:"), format, args)
}

func (a *app) tell(kind, format string, args []any) {
	a.err.Printf("%s %s\n", kind, terminal.SafeLines(fmt.Sprintf(format, args...)))
	a.err.Flush()
}

// path is the registry file.
func (a *app) path() (string, error) {
	if a.command.Flags().Changed("file") {
		return a.file, nil
	}
	if env := a.getenv("MACHREG_FILE"); env != "" {
		return env, nil
	}
	dir, err := os.UserConfigDir()
	if err == nil && !filepath.IsAbs(dir) {
		err = fmt.Errorf("the directory for settings, %q, depends on where the program runs", dir)
	}
	if err != nil {
		return "", fmt.Errorf("no registry file: %w; name one with --file or MACHREG_FILE", err)
	}
	return filepath.Join(dir, "machreg", "machines.json"), nil
}

// timeout is --lock-timeout as the library wants it.
func (a *app) timeout() time.Duration {
	if a.lockTimeout <= 0 {
		return filelock.NoWait
	}
	return a.lockTimeout
}

// usageError is a command line that makes no sense.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func usagef(format string, args ...any) error {
	return usageError{fmt.Errorf(format, args...)}
}

func isUsage(err error) bool {
	_, ok := errors.AsType[usageError](err)
	return ok
}
