package main

import (
	"bytes"
	"fmt"
	"os"
	"sort"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/spf13/cobra"

	"github.com/machreg/machreg/cmd/machreg/internal/terminal"
	"github.com/machreg/machreg/registry"
)

func (a *app) renameCommand() *cobra.Command {
	var conds conditions
	var dropUnknown bool
	c := &cobra.Command{
		Use:     "rename OLD NEW",
		Aliases: []string{"mv"},
		GroupID: groupMachines,
		Short:   "Give a machine another name",
		Long: `Give a machine another name, in one transaction: nobody sees both or neither.
The new name must be free.

Members of the entry that machreg does not know, as other programs may have
written them, cannot be carried over. If there are any nothing is renamed,
unless --drop-unknown gives them up.`,
		Example: `  machreg add scratch --host scratch.example.net
  machreg rename scratch sandbox`,
		Args: cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			return a.write(func(r *registry.MachineRegistry) error {
				if !dropUnknown {
					if err := a.checkUnknown(args[0]); err != nil {
						return fmt.Errorf("rename %q: %w", args[0], err)
					}
				}
				rev, err := r.Update(c.Context(), func(tx *registry.Tx[registry.Machine]) error {
					return rename(c, tx, args[0], args[1], &conds)
				})
				if err != nil {
					return err
				}
				a.out.Printf("renamed %s to %s, revision %d\n", terminal.Safe(args[0]), a.out.Paint(terminal.Strong, terminal.Safe(args[1])), rev)
				return nil
			})
		},
	}
	conds.revisionFlag(c)
	c.Flags().BoolVar(&dropUnknown, "drop-unknown", false, "rename although members of the entry get lost")
	return c
}

func rename(c *cobra.Command, tx *registry.Tx[registry.Machine], old, new string, conds *conditions) error {
	if c.Flags().Changed("if-revision") {
		tx.All() // so that the commit fails if anything changes later
	}
	if err := conds.checkTx(c, tx.Revision()); err != nil {
		return err
	}
	m, err := tx.Get(old)
	if err != nil {
		return fmt.Errorf("rename: %w", err)
	}
	if old == new {
		return nil
	}
	if _, err := tx.Get(new); err == nil {
		return hinted{fmt.Errorf("rename %q to %q: %w", old, new, registry.ErrExists), "remove that machine first, or choose another name"}
	}
	if tx.Holds(new) {
		return hinted{fmt.Errorf("rename %q to %q: %w: an entry that cannot be used", old, new, registry.ErrExists),
			"\"machreg verify\" says what is wrong with it; \"machreg remove\" it first, or choose another name"}
	}
	m.Name = new
	if err := m.Validate(); err != nil {
		return fmt.Errorf("rename %q: %w", old, err)
	}
	if err := tx.Remove(old); err != nil {
		return err
	}
	return tx.Put(new, m)
}

// checkUnknown reports members of an entry that a new entry would not have. It
// reads the file apart from the transaction: a member that somebody adds in
// between is not seen.
func (a *app) checkUnknown(name string) error {
	path, err := a.path()
	if err != nil {
		return err
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil // the transaction will say what is wrong
	}
	var file struct {
		Machines map[string]jsontext.Value `json:"machines"`
	}
	var members map[string]jsontext.Value
	if json.Unmarshal(bytes.TrimSpace(data), &file) != nil || json.Unmarshal(file.Machines[name], &members) != nil {
		return nil
	}
	var unknown []string
	for m := range members {
		if !isField(m) {
			unknown = append(unknown, fmt.Sprintf("%q", m))
		}
	}
	if len(unknown) == 0 {
		return nil
	}
	sort.Strings(unknown)
	return hinted{fmt.Errorf("its entry has %s that would be lost: %s", count(len(unknown), "member", "members"), strings.Join(unknown, ", ")),
		"--drop-unknown renames it all the same"}
}
