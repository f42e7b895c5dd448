package main

import (
	"slices"

	"github.com/spf13/cobra"

	"github.com/machreg/machreg/cmd/machreg/internal/terminal"
	"github.com/machreg/machreg/registry"
)

// How bad a finding is. The exit code is that of the worst.
const (
	levelOK      = "ok"
	levelNote    = string(registry.LevelNote)    // worth knowing, nothing to do
	levelWarning = string(registry.LevelWarning) // works, but needs a look
	levelRefused = string(registry.LevelRefused) // writes are refused
	levelCorrupt = "corrupt"                     // the registry cannot be used
)

var levels = []struct {
	name  string
	code  int
	style terminal.Style
}{
	{levelOK, exitDone, terminal.Good},
	{levelNote, exitDone, terminal.Accent},
	{levelWarning, exitError, terminal.Note},
	{levelRefused, exitError, terminal.Alert},
	{levelCorrupt, exitCorrupt, terminal.Alert},
}

// finding is the outcome of one check.
type finding struct {
	Check  string `json:"check"`
	Level  string `json:"level"`
	Name   string `json:"name,omitempty"` // of the machine or file it is about
	Text   string `json:"text"`
	Remedy string `json:"remedy,omitempty"` // what to do
}

// report is what verify finds.
type report struct {
	File       string            `json:"file"`
	FileSystem string            `json:"file_system,omitempty"`
	Revision   registry.Revision `json:"revision"`
	Machines   int               `json:"machines"`
	Writable   *bool             `json:"writable,omitempty"` // by this user, now; nil with --read-only
	Worst      string            `json:"worst"`
	Findings   []finding         `json:"findings"`
}

func (a *app) verifyCommand() *cobra.Command {
	output, readOnly := "table", false
	c := &cobra.Command{
		Use:     "verify",
		GroupID: groupCare,
		Short:   "Check the registry file, and whether it can be written here",
		Long: `Check the registry file (syntax, shape, checksum, entries that cannot be used,
permissions), temporary files that a killed writer left, the lock and the
revision page; and whether this user can write the registry here and now: mounts,
links, marks, permissions, space, and locks that not all processes may see. For
that the lock is tried, without waiting for it, and a temporary file made beside
the registry file, renamed and removed. The registry is not changed, nothing is
left, and readers notice nothing.

With --read-only only reading is checked, and nothing is locked, written or
created.

The exit code is that of the worst finding: 0 if there is nothing to do, 1 after
a warning or if writes are refused here, 6 if the file cannot be used.`,
		Example: `  machreg verify
  machreg verify --read-only
  machreg verify -o json`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, args []string) error {
			path, err := a.path()
			if err != nil {
				return err
			}
			r, err := a.verify(c.Context(), path, readOnly)
			if err != nil {
				return err
			}
			a.status = r.exitCode()
			if output == "json" {
				text, err := marshalJSON(r, "  ")
				if err != nil {
					return err
				}
				a.out.Printf("%s\n", text)
				return nil
			}
			return a.printReport(r)
		},
	}
	c.Flags().BoolVar(&readOnly, "read-only", false, "check reading only: that writes are refused is no fault")
	c.Flags().VarP(choice(&output, "table", "json"), "output", "o", "print as table or json")
	return c
}

func (r *report) add(check, level, name, text string) {
	r.addFinding(finding{Check: check, Level: level, Name: name, Text: text})
}

func (r *report) addFinding(f finding) {
	r.Findings = append(r.Findings, f)
	if rank(f.Level) > rank(r.Worst) {
		r.Worst = f.Level
	}
}

func rank(level string) int {
	for i, l := range levels {
		if l.name == level {
			return i
		}
	}
	return 0
}

func (r *report) exitCode() int { return levels[rank(r.Worst)].code }

func (a *app) printReport(r *report) error {
	columns := []terminal.Column{{Title: "LEVEL"}, {Title: "CHECK"}, {Title: "FINDING"}}
	rows := make([][]terminal.Cell, 0, len(r.Findings))
	for _, f := range r.Findings {
		text := f.Text
		if f.Remedy != "" {
			text += "; " + f.Remedy
		}
		rows = append(rows, []terminal.Cell{
			{Text: f.Level, Style: levels[rank(f.Level)].style},
			{Text: f.Check},
			{Text: text},
		})
	}
	a.out.Printf("%s\n", a.out.Paint(terminal.Strong, terminal.Safe(r.File)))
	return a.out.Table(columns, slices.Values(rows), true)
}
