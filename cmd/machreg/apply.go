package main

import (
	"errors"
	"fmt"
	"iter"

	"github.com/spf13/cobra"

	"github.com/machreg/machreg/cmd/machreg/internal/terminal"
	"github.com/machreg/machreg/registry"
)

// batch is a change of many machines in one transaction.
type batch struct {
	conds   conditions
	dryRun  bool
	prune   bool
	verbose bool // print every step, not only how many there were
	// want makes the machines out of the present state. It may be called
	// again, on a newer state.
	want func(get func(string) (registry.Machine, bool)) []registry.Machine
}

func (a *app) applyCommand() *cobra.Command {
	var b batch
	c := &cobra.Command{
		Use:     "apply FILE",
		GroupID: groupMany,
		Short:   "Add or replace many machines at once",
		Long: `Add or replace all machines of a file, in one transaction: all of them or none.
The file is JSON, in the registry's own shape or an array of machines, as
"machreg list -o json" prints; - is stdin. If an entry cannot be used, its line
and the reason are reported and nothing is written.

With --prune, machines that the file does not have are removed; "local" and
entries that cannot be used stay.`,
		Example: `  machreg list -o json > machines-backup.json
  machreg apply machines-backup.json --prune --dry-run
  machreg apply machines-backup.json`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			in, err := a.input(args[0])
			if err != nil {
				return err
			}
			b.want = func(func(string) (registry.Machine, bool)) []registry.Machine { return in.machines }
			b.verbose = b.dryRun
			return a.runBatch(c, &b)
		},
	}
	b.flags(c)
	c.Flags().BoolVar(&b.prune, "prune", false, "remove the machines that are not in the file")
	return c
}

func (b *batch) flags(c *cobra.Command) {
	c.Flags().BoolVar(&b.dryRun, "dry-run", false, "show what would be done, and do nothing")
	b.conds.revisionFlag(c)
}

// input reads and checks a file of machines.
func (a *app) input(path string) (*input, error) {
	data, name, err := a.readInput(path)
	if err != nil {
		return nil, err
	}
	in, err := parseInput(name, data)
	if err != nil {
		return nil, hinted{err, "nothing was written; mend the lines named above and run the command again"}
	}
	for _, u := range in.unknown.all() {
		a.warn("%s", u)
	}
	return in, nil
}

// runBatch carries a batch out and prints what was done.
func (a *app) runBatch(c *cobra.Command, b *batch) error {
	path, err := a.path()
	if err != nil {
		return err
	}
	var p plan
	var rev registry.Revision
	if b.dryRun {
		snap, err := a.read()
		if err != nil {
			return err
		}
		if err := b.conds.checkTx(c, snap.Revision()); err != nil {
			return err
		}
		p, rev = b.plan(snap.Get, snap.Holds, snap.All()), snap.Revision()
	} else if err := a.write(func(r *registry.MachineRegistry) error {
		a.warnQuarantine(path, r.Snapshot())
		rev, err = r.Update(c.Context(), func(tx *registry.Tx[registry.Machine]) error {
			p, err = b.perform(c, tx)
			return err
		})
		return err
	}); err != nil {
		return err
	}
	if b.verbose {
		a.printPlan(p)
	}
	a.printTotals(b, p, path, rev)
	return nil
}

func (b *batch) plan(get func(string) (registry.Machine, bool), holds func(string) bool, all iter.Seq2[string, registry.Machine]) plan {
	if !b.prune {
		all = nil
	}
	return makePlan(b.want(get), get, holds, all)
}

// perform writes the plan into a transaction.
func (b *batch) perform(c *cobra.Command, tx *registry.Tx[registry.Machine]) (plan, error) {
	if c.Flags().Changed("if-revision") {
		tx.All() // so that the commit fails if anything changes later
		if err := b.conds.checkTx(c, tx.Revision()); err != nil {
			return plan{}, err
		}
	}
	get := func(name string) (registry.Machine, bool) {
		m, err := tx.Get(name)
		return m, err == nil
	}
	var all iter.Seq2[string, registry.Machine]
	if b.prune {
		all = tx.All()
	}
	p := b.plan(get, tx.Holds, all)
	var errs []error
	for _, s := range p.steps {
		if s.kind == stepRemove {
			errs = append(errs, tx.Remove(s.name))
		} else {
			errs = append(errs, tx.Put(s.name, s.new))
		}
	}
	return p, errors.Join(errs...)
}

func (a *app) printTotals(b *batch, p plan, path string, rev registry.Revision) {
	total := func(n int, what string, style terminal.Style) string {
		text := fmt.Sprintf("%d %s", n, what)
		if n == 0 {
			style = terminal.Faint
		}
		return a.out.Paint(style, text)
	}
	line := total(p.count(stepAdd), stepAdd, terminal.Good) + ", " + total(p.count(stepUpdate), stepUpdate, terminal.Note) + ", "
	if n := p.count(stepReplace); n > 0 {
		line += total(n, "replaced that could not be used", terminal.Note) + ", "
	}
	if b.prune {
		line += total(p.count(stepRemove), stepRemove, terminal.Bad) + ", "
	}
	line += total(p.unchanged, "unchanged", terminal.Plain)
	if b.dryRun {
		a.out.Printf("%s\ndry run: nothing was written; %s is at revision %d\n", line, terminal.Safe(path), rev)
		return
	}
	a.out.Printf("%s; %s is at revision %d\n", line, terminal.Safe(path), rev)
}
