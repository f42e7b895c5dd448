//go:build unix

package main

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
)

// replaceProcess becomes the program, which then has the terminal, the signals
// and the exit code to itself.
func (a *app) replaceProcess(program string, argv []string) error {
	return fmt.Errorf("start %q: %w", program, syscall.Exec(program, argv, os.Environ()))
}

const defaultEditor = "vi"

// editorCommand gives the variable's text to a shell, as its users expect: it
// may have arguments and quotes. The path is an argument of its own.
func editorCommand(editor, path string) *exec.Cmd {
	return exec.Command("/bin/sh", "-c", editor+` "$@"`, editor, path)
}
