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
	levelNote    = "note"    // worth knowing, nothing to do
	levelWarning = "warning" // somebody should look at it
	levelCorrupt = "corrupt" // the registry cannot be used
)

var levels = []struct {
	name  string
	code  int
	style terminal.Style
}{
	{levelOK, exitDone, terminal.Good},
	{levelNote, exitDone, terminal.Accent},
	{levelWarning, exitError, terminal.Note},
	{levelCorrupt, exitCorrupt, terminal.Alert},
}

// finding is the outcome of one check.
type finding struct {
	Check string `json:"check"`
	Level string `json:"level"`
	Name  string `json:"name,omitempty"` // of the machine or file it is about
	Text  string `json:"text"`
}

// report is what verify finds.
type report struct {
	File     string            `json:"file"`
	Revision registry.Revision `json:"revision"`
	Machines int               `json:"machines"`
	Worst    string            `json:"worst"`
	Findings []finding         `json:"findings"`
}

func (a *app) verifyCommand() *cobra.Command {
	output := "table"
	c := &cobra.Command{
		Use:     "verify",
		GroupID: groupCare,
		Short:   "Check the registry file and what belongs to it",
		Long: `Check the registry file (syntax, shape, checksum, entries that cannot be used,
permissions, links), temporary files that a killed writer left, the lock and the
revision page. Nothing is locked, written or created.

The exit code is that of the worst finding: 0 if there is nothing to do, 1 if
somebody should look at something, 6 if the file cannot be used.`,
		Example: `  machreg verify
  machreg verify -o json`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, args []string) error {
			path, err := a.path()
			if err != nil {
				return err
			}
			r, err := a.verify(path)
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
	c.Flags().VarP(choice(&output, "table", "json"), "output", "o", "print as table or json")
	return c
}

func (r *report) add(check, level, name, text string) {
	r.Findings = append(r.Findings, finding{check, level, name, text})
	if rank(level) > rank(r.Worst) {
		r.Worst = level
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
		rows = append(rows, []terminal.Cell{
			{Text: f.Level, Style: levels[rank(f.Level)].style},
			{Text: f.Check},
			{Text: f.Text},
		})
	}
	a.out.Printf("%s\n", a.out.Paint(terminal.Strong, terminal.Safe(r.File)))
	return a.out.Table(columns, slices.Values(rows), true)
}
