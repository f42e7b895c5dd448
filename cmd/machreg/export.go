package main

import (
	"iter"

	"github.com/spf13/cobra"

	"github.com/machreg/machreg/cmd/machreg/internal/sshconfig"
	"github.com/machreg/machreg/registry"
)

func (a *app) exportCommand() *cobra.Command {
	c := &cobra.Command{
		Use:     "export FORMAT",
		GroupID: groupMany,
		Short:   "Print the machines for another program",
		Example: `  machreg export ssh-config`,
		Args:    cobra.ArbitraryArgs,
		RunE:    a.unknownCommand,
	}
	c.AddCommand(
		a.exportFormat("ssh-config", "Print an OpenSSH client configuration", `Print an OpenSSH client configuration with a Host for every machine of type ssh.
Put it where ssh reads it by an Include line. "machreg import ssh-config" makes
the same machines of it; the town path is in a comment.

A machine whose name or host ssh would refuse, or take for a pattern, is left out
and named on stderr.`,
			`  machreg export ssh-config > machines.conf`, a.exportSSHConfig),
		a.exportFormat("ansible", "Print an Ansible inventory", `Print an Ansible inventory in YAML. Every type of machine is a group, type_ssh
for example. The town path is the variable town_path.

A machine whose name Ansible would take for a pattern is left out and named on
stderr. Values that Ansible would take for templates are marked as !unsafe.`,
			`  machreg export ansible > inventory.yaml`, a.exportAnsible),
		a.exportPrometheus(),
		a.exportFormat("csv", "Print a table of comma-separated values", `Print all machines as comma-separated values with a line of headers, as
"machreg list -o csv" does.`,
			`  machreg export csv > machines.csv`, func(list iter.Seq[registry.Machine]) error { return a.printCSV(list, true) }),
	)
	return c
}

// exportFormat is a command that prints the selected machines.
func (a *app) exportFormat(name, short, long, example string, print func(iter.Seq[registry.Machine]) error) *cobra.Command {
	var sel selection
	c := &cobra.Command{
		Use:     name,
		Short:   short,
		Long:    long,
		Example: example,
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, args []string) error {
			if err := sel.check(); err != nil {
				return err
			}
			snap, err := a.read()
			if err != nil {
				return err
			}
			return print(sel.of(snap))
		},
	}
	sel.flags(c)
	return c
}

func (a *app) exportSSHConfig(list iter.Seq[registry.Machine]) error {
	before := "# Written by machreg export ssh-config.\n\n"
	for m := range list {
		if m.Type != registry.TypeSSH {
			continue
		}
		d, err := sshconfig.ParseDestination(m.Host)
		if err != nil {
			a.skipped(m, err)
			continue
		}
		h := sshconfig.Host{Alias: m.Name, Destination: d, IdentityFile: m.KeyPath, TownPath: m.TownPath}
		text, err := h.Block()
		if err != nil {
			a.skipped(m, err)
			continue
		}
		if a.out.Printf("%s%s", before, text); a.out.Err() != nil {
			break
		}
		before = "\n"
	}
	return a.out.Err()
}

// skipped warns of a machine that an export leaves out.
func (a *app) skipped(m registry.Machine, err error) {
	a.warn("%q is left out: %v", m.Name, err)
}
