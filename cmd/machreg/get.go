package main

import (
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/machreg/machreg/cmd/machreg/internal/terminal"
	"github.com/machreg/machreg/registry"
)

func (a *app) getCommand() *cobra.Command {
	f := format{name: "table"}
	var noHeaders bool
	var atLeast uint64
	var timeout time.Duration
	c := &cobra.Command{
		Use:     "get NAME",
		GroupID: groupMachines,
		Short:   "Show one machine",
		Long: `Show one machine. Nothing is locked, written or created.

With --at-least it is shown as of that revision or a later one: a script that is
handed the revision that "machreg add" printed sees what that wrote.`,
		Example: `  machreg get local
  machreg get local -o json
  machreg get local --at-least 0 --timeout 5s`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			read := a.read
			if c.Flags().Changed("at-least") {
				read = func() (*machines, error) {
					return a.readAtLeast(c.Context(), registry.Revision(atLeast), timeout)
				}
			}
			snap, err := read()
			if err != nil {
				return err
			}
			m, err := find(snap, args[0])
			if err != nil {
				return err
			}
			return a.printMachine(f, m, !noHeaders)
		},
	}
	c.Flags().VarP(&f, "output", "o", "print as "+formatNames)
	c.Flags().BoolVar(&noHeaders, "no-headers", false, "print no line of headers")
	c.Flags().Uint64Var(&atLeast, "at-least", 0, "wait until the registry is at revision `REV` or later")
	c.Flags().DurationVar(&timeout, "timeout", 30*time.Second, "how long --at-least waits: `DURATION`")
	return c
}

func find(snap *machines, name string) (registry.Machine, error) {
	m, ok := snap.Get(name)
	if ok {
		return m, nil
	}
	for _, q := range snap.Quarantine() {
		if q.Name == name {
			return m, hinted{fmt.Errorf("machine %q: the entry in the file cannot be used: %s: %w", name, q.Reason, registry.ErrNotFound),
				"\"machreg add\" replaces the entry, \"machreg remove\" removes it"}
		}
	}
	return m, fmt.Errorf("machine %q: %w", name, registry.ErrNotFound)
}

// printMachine prints one machine in the format f.
func (a *app) printMachine(f format, m registry.Machine, headers bool) error {
	switch f.name {
	case "json":
		text, err := marshalJSON(m, "  ")
		if err != nil {
			return err
		}
		a.out.Printf("%s\n", text)
		return a.out.Err()
	case "table":
		for _, field := range fields {
			c := cell(*field.value(&m))
			a.out.Printf("%s %s\n", a.out.Paint(terminal.Faint, terminal.Pad(field.name, 9)), a.out.Paint(c.Style, terminal.Safe(c.Text)))
		}
		return a.out.Err()
	}
	return a.printMachines(f, slices.Values([]registry.Machine{m}), headers)
}
