package main

import (
	"slices"

	"github.com/spf13/cobra"

	"github.com/machreg/machreg/registry"
)

func (a *app) diffCommand() *cobra.Command {
	output := "table"
	c := &cobra.Command{
		Use:     "diff FILE",
		GroupID: groupMany,
		Short:   "Show how a file differs from the registry",
		Long: `Show what would have to be added (+), updated (~) and removed (-) to make the
registry hold exactly the machines of FILE: another registry, or an array of
machines; - is stdin. It is what "machreg apply --prune" would do. Nothing is
locked, written or created. The exit code is 0 whether they differ or not.

With -o json an array of steps is printed, as "machreg watch -o json" has them.`,
		Example: `  machreg list -o json > yesterday.json
  machreg diff yesterday.json`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			in, err := a.input(args[0])
			if err != nil {
				return err
			}
			snap, err := a.read()
			if err != nil {
				return err
			}
			p := makePlan(in.machines, snap.Get, snap.Holds, snap.All())
			if output == "json" {
				return a.printSteps(p)
			}
			a.printPlan(p)
			return a.out.Err()
		},
	}
	c.Flags().VarP(choice(&output, "table", "json"), "output", "o", "print as table or json")
	return c
}

// diffLine is one step as JSON.
type diffLine struct {
	Change string            `json:"change"` // added, updated, replaced or removed
	Name   string            `json:"name"`
	Fields []fieldChange     `json:"fields,omitempty"`
	Old    *registry.Machine `json:"old,omitempty"`
	New    *registry.Machine `json:"new,omitempty"`
}

func (a *app) printSteps(p plan) error {
	lines := make([]diffLine, 0, len(p.steps))
	for s := range slices.Values(p.steps) {
		line := diffLine{Change: s.kind, Name: s.name}
		if s.kind == stepUpdate || s.kind == stepRemove {
			line.Old = &s.old
		}
		if s.kind != stepRemove {
			line.New = &s.new
		}
		if s.kind == stepUpdate {
			line.Fields = changedFields(s.old, s.new)
		}
		lines = append(lines, line)
	}
	text, err := marshalJSON(lines, "  ")
	if err != nil {
		return err
	}
	a.out.Printf("%s\n", text)
	return a.out.Err()
}
