package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"github.com/machreg/machreg/cmd/machreg/internal/terminal"
	"github.com/machreg/machreg/registry"
)

func (a *app) editCommand() *cobra.Command {
	syntax := "yaml"
	c := &cobra.Command{
		Use:     "edit NAME",
		GroupID: groupMachines,
		Short:   "Edit a machine in your editor",
		Long: `Edit a machine in the editor that VISUAL or EDITOR names. What cannot be used is
opened again, with the reason, until it is right or comes back as it was.

It is stored only if nobody has changed the machine since. If somebody has, both
versions are shown and nothing is stored. Whenever your text is not stored it
stays in a file that is named.`,
		Example: `  machreg edit build-01
  EDITOR='sed -i s/example.net/example.org/' machreg edit build-01`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return a.write(func(r *registry.MachineRegistry) error {
				tx := r.Begin()
				old, err := tx.Get(args[0])
				if err != nil && tx.Holds(args[0]) {
					return hinted{fmt.Errorf("edit: %w: its entry cannot be used", err), "\"machreg verify\" says why; \"machreg add\" replaces it"}
				}
				if err != nil {
					return fmt.Errorf("edit: %w", err)
				}
				return a.edit(c.Context(), tx, old, syntax)
			})
		},
	}
	c.Flags().Var(choice(&syntax, "yaml", "json"), "as", "edit as `SYNTAX`: yaml or json")
	return c
}

// edit lets the user change old, which tx has read, and commits the result.
func (a *app) edit(ctx context.Context, tx *registry.Tx[registry.Machine], old registry.Machine, syntax string) error {
	d, err := newDraft(old, tx.Revision(), syntax)
	if err != nil {
		return err
	}
	m, err := a.editDraft(d)
	if err != nil {
		return d.keep(fmt.Errorf("edit %q: %w", old.Name, err))
	}
	if m == old {
		a.out.Printf("%s is unchanged\n", terminal.Safe(old.Name))
		return d.remove()
	}
	if err := tx.Put(old.Name, m); err != nil {
		return d.keep(err)
	}
	// A signal that was meant for the editor must not spoil what it made.
	rev, err := tx.Commit(context.WithoutCancel(ctx))
	if conflict, ok := errors.AsType[*registry.ConflictError[registry.Machine]](err); ok {
		a.showConflict(old.Name, conflict, m, syntax)
	}
	if err != nil {
		return d.keep(fmt.Errorf("edit %q: %w", old.Name, err))
	}
	a.out.Printf("edited %s, revision %d\n", a.out.Paint(terminal.Strong, terminal.Safe(old.Name)), rev)
	return d.remove()
}

// editDraft runs the editor until the text is a machine.
func (a *app) editDraft(d *draft) (registry.Machine, error) {
	for {
		if err := a.runEditor(d.path); err != nil {
			return registry.Machine{}, err
		}
		before := d.text
		if err := d.read(); err != nil {
			return registry.Machine{}, err
		}
		m, err := d.machine()
		if err == nil {
			return m, nil
		}
		if d.rejected && uncommented(before) == uncommented(d.text) {
			return registry.Machine{}, hinted{err, "it came back from the editor as it was"}
		}
		if err := d.reject(err); err != nil {
			return registry.Machine{}, err
		}
	}
}

// runEditor waits for the user's editor.
func (a *app) runEditor(path string) error {
	editor := a.getenv("VISUAL")
	if editor == "" {
		editor = a.getenv("EDITOR")
	}
	if editor == "" {
		editor = defaultEditor
	}
	cmd := editorCommand(editor, path)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = a.stdin, a.stdout, a.stderr
	err := cmd.Run()
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return hinted{fmt.Errorf("editor %q: %w", editor, err), fmt.Sprintf("editors are started by %s, which is not here", terminal.Safe(cmd.Path))}
	case err != nil:
		return hinted{fmt.Errorf("editor %q: %w", editor, err), "set VISUAL or EDITOR to an editor that waits until you are done"}
	}
	return nil
}

// showConflict prints what is there and what was to be stored.
func (a *app) showConflict(name string, conflict *registry.ConflictError[registry.Machine], mine registry.Machine, syntax string) {
	a.err.Printf("%s\n", a.err.Paint(terminal.Strong, fmt.Sprintf("--- in the registry, revision %d", conflict.Current)))
	if conflict.Exists {
		a.err.Printf("%s", terminal.SafeLines(machineText(conflict.Value, syntax)))
	} else {
		a.err.Printf("%s was removed\n", terminal.Safe(name))
	}
	a.err.Printf("%s\n%s", a.err.Paint(terminal.Strong, "--- yours"), terminal.SafeLines(machineText(mine, syntax)))
}

// keep leaves the draft where it is, if the user has put anything into it, and
// says so.
func (d *draft) keep(err error) error {
	if rerr := d.read(); rerr == nil && uncommented(d.text) == uncommented(d.original) {
		return errors.Join(err, os.Remove(d.path))
	}
	return hinted{fmt.Errorf("%w\nyour text is in %q", err, d.path), hintOf(err, "look at both versions, and edit again")}
}

func hintOf(err error, otherwise string) string {
	if h, ok := errors.AsType[hinted](err); ok {
		return h.hint
	}
	return otherwise
}

func (d *draft) remove() error { return os.Remove(d.path) }
