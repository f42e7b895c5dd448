package main

import (
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/machreg/machreg/cmd/machreg/internal/sshconfig"
	"github.com/machreg/machreg/registry"
)

func (a *app) sshCommand() *cobra.Command {
	var show bool
	c := &cobra.Command{
		Use:     "ssh NAME [-- COMMAND...]",
		GroupID: groupMachines,
		Short:   "Log in to a machine, or run a command on it",
		Long: `Start the ssh program that PATH has, with the host, port and identity file of a
machine. What follows the name is run on the machine, as ssh does: its words are
joined by spaces and given to the shell there. No shell runs here, and the host
is never taken for an option.

ssh takes the place of machreg, so the exit code is ssh's. --print shows the
command line and starts nothing.`,
		Example: `  machreg add build-01 --host ci@build-01.example.net --key-path ~/.ssh/ci
  machreg ssh build-01 --print -- uptime`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			snap, err := a.read()
			if err != nil {
				return err
			}
			m, err := find(snap, args[0])
			if err != nil {
				return err
			}
			argv, err := sshArguments(m, args[1:])
			if err != nil {
				return fmt.Errorf("ssh %q: %w", m.Name, err)
			}
			if show {
				a.out.Printf("%s\n", shellLine(argv))
				return nil
			}
			program, err := exec.LookPath(argv[0])
			if err != nil {
				return hinted{fmt.Errorf("ssh %q: %w", m.Name, err), "install the OpenSSH client, or put it into PATH"}
			}
			if err := a.out.Flush(); err != nil {
				return err
			}
			return a.replaceProcess(program, argv)
		},
	}
	c.Flags().BoolVar(&show, "print", false, "print the command line for a POSIX shell, and start nothing")
	return c
}

// sshArguments is the command line that reaches a machine.
func sshArguments(m registry.Machine, command []string) ([]string, error) {
	if m.Host == "" {
		return nil, hinted{errors.New("it has no host"), "only machines with a host can be reached; \"machreg add\" or \"machreg edit\" gives it one"}
	}
	d, err := sshconfig.ParseDestination(m.Host)
	if err != nil {
		return nil, err
	}
	argv := []string{"ssh"}
	switch {
	case m.KeyPath == "":
	case strings.ContainsAny(m.KeyPath, "%$"):
		// -i looks for the file by this name and then expands the name.
		argv = append(argv, "-o", "IdentityFile="+sshconfig.Quote(strings.ReplaceAll(m.KeyPath, "%", "%%")))
	default:
		argv = append(argv, "-i", m.KeyPath)
	}
	if d.Port != 0 {
		argv = append(argv, "-p", strconv.Itoa(d.Port))
	}
	// The user may hold an @, which ssh itself splits at the last of.
	argv = append(argv, "--", d.Account())
	return append(argv, command...), nil
}

// shellLine is argv as a POSIX shell would have to be given it.
func shellLine(argv []string) string {
	words := make([]string, len(argv))
	for i, w := range argv {
		if w != "" && strings.Trim(w, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:@%+=,") == "" {
			words[i] = w
			continue
		}
		words[i] = "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
	}
	return strings.Join(words, " ")
}
