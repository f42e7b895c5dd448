//go:build !unix

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
)

// replaceProcess runs the program and ends with its exit code: here a process
// cannot become another.
func (a *app) replaceProcess(program string, argv []string) error {
	signal.Ignore(os.Interrupt) // it is the program's to handle
	cmd := exec.Command(program, argv[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = a.stdin, a.stdout, a.stderr
	err := cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		a.status = exit.ExitCode()
		return nil
	}
	if err != nil {
		return fmt.Errorf("start %q: %w", program, err)
	}
	return nil
}

const defaultEditor = "notepad"

func editorCommand(editor, path string) *exec.Cmd {
	words := strings.Fields(editor)
	return exec.Command(words[0], append(words[1:], path)...)
}
