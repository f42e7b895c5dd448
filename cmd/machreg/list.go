package main

import (
	"github.com/spf13/cobra"
)

func (a *app) listCommand() *cobra.Command {
	f := format{name: "table"}
	var quiet, noHeaders bool
	var sel selection
	c := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		GroupID: groupMachines,
		Short:   "List the machines",
		Long: `List the machines of one revision, sorted by name. Nothing is locked, written
or created.

Entries of the file that cannot be used are named on stderr; the others are
listed.`,
		Example: `  machreg list
  machreg list --type ssh --match 'build-*' -o json
  machreg list -o template='{{.Name}} {{.Host}}'`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, args []string) error {
			if err := sel.check(); err != nil {
				return err
			}
			if quiet {
				f.name = "name"
			}
			snap, err := a.read()
			if err != nil {
				return err
			}
			return a.printMachines(f, sel.of(snap), !noHeaders)
		},
	}
	c.Flags().VarP(&f, "output", "o", "print as "+formatNames)
	c.Flags().BoolVarP(&quiet, "quiet", "q", false, "print names only, as -o name")
	c.Flags().BoolVar(&noHeaders, "no-headers", false, "print no line of headers")
	sel.flags(c)
	sel.sortFlag(c)
	c.MarkFlagsMutuallyExclusive("quiet", "output")
	return c
}
