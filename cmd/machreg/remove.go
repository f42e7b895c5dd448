package main

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/machreg/machreg/cmd/machreg/internal/terminal"
	"github.com/machreg/machreg/registry"
)

func (a *app) removeCommand() *cobra.Command {
	var conds conditions
	c := &cobra.Command{
		Use:     "remove NAME...",
		Aliases: []string{"rm"},
		GroupID: groupMachines,
		Short:   "Remove machines",
		Long: `Remove machines, all of them or none. Entries that cannot be used are removed
by their name too. The machine "local" always exists.`,
		Example: `  machreg add scratch --host scratch.example.net
  machreg remove scratch`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return a.write(func(r *registry.MachineRegistry) error {
				rev, err := removeAll(c, r, args, &conds)
				if err != nil {
					return err
				}
				for _, name := range args {
					a.out.Printf("removed %s, revision %d\n", a.out.Paint(terminal.Strong, terminal.Safe(name)), rev)
				}
				return nil
			})
		},
	}
	conds.revisionFlag(c)
	return c
}

func removeAll(c *cobra.Command, r *registry.MachineRegistry, names []string, conds *conditions) (registry.Revision, error) {
	if len(names) == 1 {
		return r.Remove(c.Context(), names[0], conds.list(c)...)
	}
	return r.Update(c.Context(), func(tx *registry.Tx[registry.Machine]) error {
		if c.Flags().Changed("if-revision") {
			tx.All() // so that the commit fails if anything changes later
		}
		if err := conds.checkTx(c, tx.Revision()); err != nil {
			return err
		}
		var errs []error
		for _, name := range names {
			errs = append(errs, tx.Remove(name))
		}
		return errors.Join(errs...)
	})
}
