package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/machreg/machreg/cmd/machreg/internal/terminal"
	"github.com/machreg/machreg/registry"
)

// stepCurrent marks where the present state ends that "watch --initial" begins
// with.
const stepCurrent = "current"

// watchLine is what "watch -o json" prints, one a line.
type watchLine struct {
	From     registry.Revision `json:"from"`
	To       registry.Revision `json:"to"`
	Change   string            `json:"change"` // added, updated, removed or current
	Name     string            `json:"name,omitempty"`
	Fields   []fieldChange     `json:"fields,omitempty"`
	Old      *registry.Machine `json:"old,omitempty"`
	New      *registry.Machine `json:"new,omitempty"`
	Machines *int              `json:"machines,omitempty"` // of current
}

func (a *app) watchCommand() *cobra.Command {
	output := "text"
	var initial bool
	c := &cobra.Command{
		Use:     "watch",
		GroupID: groupMachines,
		Short:   "Print changes as they happen",
		Long: `Print a line for every machine that is added, updated or removed, by whatever
program, with the revisions before and after. Several writes that come together
may be shown as one change. It ends with Ctrl-C, or when nobody reads the output
any more, with exit code 0. Nothing is locked, written or created.

With --initial the machines that there are come first, as if they were added,
and then a line that says so. With -o json every line is an object with the
members from, to, change (added, updated, removed or current), name, fields, old
and new.`,
		Example: `  machreg watch
  machreg watch --initial -o json | jq -r .name`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, args []string) error {
			return a.watch(c.Context(), output == "json", initial)
		},
	}
	c.Flags().VarP(choice(&output, "text", "json"), "output", "o", "print as text or json")
	c.Flags().BoolVar(&initial, "initial", false, "begin with the machines that there are")
	return c
}

func (a *app) watch(ctx context.Context, asJSON, initial bool) error {
	path, err := a.path()
	if err != nil {
		return err
	}
	r, err := registry.OpenMachines(path, &registry.Options{ReadOnly: true})
	if err != nil {
		return err
	}
	defer r.Close()
	a.warnMissing(path)
	a.warnQuarantine(path, r.Snapshot())

	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		if waitHangup(ctx, a.stdout) {
			cancel()
		}
	}()
	told := make(chan struct{})
	go func() {
		defer close(told)
		a.tellHealth(ctx, r)
	}()
	defer func() { cancel(); <-told }()

	var opts []registry.WatchOption
	if initial {
		opts = append(opts, registry.WithInitial())
	}
	for change, err := range r.Watch(ctx, opts...) {
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		if err := a.printChange(change, asJSON, initial); err != nil {
			return err
		}
		initial = false
	}
	return nil
}

// printChange prints a change and lets it be seen at once.
func (a *app) printChange(change registry.Change[registry.Machine], asJSON, initial bool) error {
	print := a.watchText
	if asJSON {
		print = a.watchJSON
	}
	var err error
	emit := func(s step) {
		if err == nil {
			err = print(change.From, change.To, s, nil)
		}
	}
	for _, m := range change.Removed {
		emit(step{kind: stepRemove, name: m.Name, old: m.Value})
	}
	for _, m := range change.Added {
		emit(step{kind: stepAdd, name: m.Name, new: m.Value})
	}
	for _, m := range change.Updated {
		emit(step{kind: stepUpdate, name: m.Name, old: m.Old, new: m.New})
	}
	if initial && err == nil {
		n := len(change.Added)
		err = print(change.From, change.To, step{kind: stepCurrent}, &n)
	}
	if err != nil {
		return err
	}
	return a.out.Flush()
}

func (a *app) watchText(from, to registry.Revision, s step, n *int) error {
	now := a.out.Paint(terminal.Faint, fmt.Sprintf("%s  %d→%d", time.Now().Format(time.TimeOnly), from, to))
	if n != nil {
		a.out.Printf("%s  = %s at revision %d\n", now, count(*n, "machine", "machines"), to)
		return a.out.Err()
	}
	mark, style := s.mark()
	detail := s.updates()
	if s.kind == stepAdd {
		detail = describe(s.new)
	} else if s.kind == stepRemove {
		detail = describe(s.old)
	}
	a.out.Printf("%s  %s %s  %s\n", now, a.out.Paint(style, mark), a.out.Paint(terminal.Strong, terminal.Safe(s.name)), terminal.Safe(detail))
	return a.out.Err()
}

func (a *app) watchJSON(from, to registry.Revision, s step, n *int) error {
	line := watchLine{From: from, To: to, Change: s.kind, Name: s.name, Machines: n}
	if s.kind == stepUpdate {
		line.Fields = changedFields(s.old, s.new)
	}
	if s.kind == stepUpdate || s.kind == stepRemove {
		line.Old = &s.old
	}
	if s.kind == stepUpdate || s.kind == stepAdd {
		line.New = &s.new
	}
	text, err := marshalJSON(line, "")
	if err != nil {
		return err
	}
	a.out.Printf("%s\n", text)
	return a.out.Err()
}

// tellHealth says on stderr when changes stop arriving as they should, and when
// they arrive again. Nothing else prints there meanwhile.
func (a *app) tellHealth(ctx context.Context, r *registry.MachineRegistry) {
	const interval = time.Second
	tick := time.NewTicker(interval)
	defer tick.Stop()
	last := ""
	for {
		now := ""
		if p, ok := watchProblem(r.Health()); ok {
			now = p.Err.Error()
			if now != last {
				a.warn("%s", troubleText(p))
			}
		} else if last != "" {
			a.warn("changes arrive again")
		}
		last = now
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}
