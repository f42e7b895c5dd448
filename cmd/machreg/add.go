package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/machreg/machreg/cmd/machreg/internal/sshconfig"
	"github.com/machreg/machreg/cmd/machreg/internal/terminal"
	"github.com/machreg/machreg/registry"
)

func (a *app) addCommand() *cobra.Command {
	var m registry.Machine
	var conds conditions
	c := &cobra.Command{
		Use:     "add NAME",
		Aliases: []string{"set"},
		GroupID: groupMachines,
		Short:   "Add a machine, or replace it",
		Long: `Add a machine, or replace the one of that name as a whole. The revision from
which on it is there is printed; other processes can wait for it with
"machreg get --at-least".

The type is ssh if a host is given. A host is HOST, USER@HOST or, for another
port than 22, ssh://USER@HOST:PORT.`,
		Example: `  machreg add build-01 --host ci@build-01.example.net --key-path ~/.ssh/ci
  machreg add edge-7 --host ssh://root@198.51.100.7:2222 --if-absent`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			m.Name = args[0]
			if m.Type == "" {
				if m.Host == "" {
					return usagef("add %q: a --host or a --type is required", m.Name)
				}
				m.Type = registry.TypeSSH
			}
			if err := m.Validate(); err != nil {
				return fmt.Errorf("add %q: %w", m.Name, err)
			}
			if m.Type == registry.TypeSSH {
				if _, err := sshconfig.ParseDestination(m.Host); err != nil {
					return usagef("add %q: %w", m.Name, err)
				}
			}
			return a.write(func(r *registry.MachineRegistry) error {
				reason, bad := quarantined(r.Snapshot(), m.Name)
				_, known := r.Snapshot().Get(m.Name)
				rev, err := r.Add(c.Context(), m, conds.list(c)...)
				if err != nil {
					return err
				}
				verb := "added"
				if known || bad {
					verb = "replaced"
				}
				if bad {
					a.warn("the entry %q that was replaced could not be used: %s", m.Name, reason)
				}
				a.out.Printf("%s %s, revision %d\n", verb, a.out.Paint(terminal.Strong, terminal.Safe(m.Name)), rev)
				return nil
			})
		},
	}
	flags := c.Flags()
	flags.SortFlags = false
	flags.StringVar(&m.Type, "type", "", "how it is reached: ssh, local, or any other `TYPE`")
	flags.StringVar(&m.Host, "host", "", "where ssh connects to: `DESTINATION`")
	flags.StringVar(&m.KeyPath, "key-path", "", "identity `FILE` for ssh")
	flags.StringVar(&m.TownPath, "town-path", "", "working `DIR` on the machine")
	conds.absentFlag(c)
	conds.revisionFlag(c)
	return c
}

// conditions are the flags that restrict a write.
type conditions struct {
	absent   bool
	revision uint64
}

func (k *conditions) absentFlag(c *cobra.Command) {
	c.Flags().BoolVar(&k.absent, "if-absent", false, "only if there is no machine of that name")
}

func (k *conditions) revisionFlag(c *cobra.Command) {
	c.Flags().Uint64Var(&k.revision, "if-revision", 0, "only if the registry is still at revision `REV`")
}

func (k *conditions) list(c *cobra.Command) (list []registry.Condition) {
	if k.absent {
		list = append(list, registry.IfAbsent())
	}
	if c.Flags().Changed("if-revision") {
		list = append(list, registry.IfRevision(registry.Revision(k.revision)))
	}
	return list
}

// checkTx is the condition for a transaction. It is sound only together with a
// read of everything, which makes the commit fail if anything changes later.
func (k *conditions) checkTx(c *cobra.Command, at registry.Revision) error {
	if want := registry.Revision(k.revision); c.Flags().Changed("if-revision") && want != at {
		return fmt.Errorf("%w: expected revision %d, now at revision %d", registry.ErrConflict, want, at)
	}
	return nil
}
