package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/machreg/machreg/cmd/machreg/internal/compare"
	"github.com/machreg/machreg/cmd/machreg/internal/terminal"
)

// compareSemantics runs the same commands on both registries and reports where
// they differ.
func (a *app) compareSemantics(c *cobra.Command, x *comparison) error {
	if x.sequences < 1 {
		return usagef("sequences %d: want 1 or more", x.sequences)
	}
	bar := a.newBar()
	report, err := compare.Check(c.Context(), x.work.Seed, x.sequences, x.dir, func(done, total int) {
		bar.show(compare.Progress{Contestant: "command sequences", Done: done, Total: total, Window: time.Second})
	})
	bar.clear()
	if err != nil {
		return err
	}
	if x.output == "json" {
		text, err := json.MarshalIndent(report, "", "  ")
		if err != nil {
			return err
		}
		a.out.Printf("%s\n", text)
	} else if err := a.printFindings(report); err != nil {
		return err
	}
	if report.Interrupted {
		a.warn("interrupted after %d of %d sequences", report.Sequences, x.sequences)
	}
	if report.Unexpected > 0 {
		return fmt.Errorf("compare: %d differences that are not documented", report.Unexpected)
	}
	return nil
}

func (a *app) printFindings(r *compare.CheckReport) error {
	columns := []terminal.Column{{Title: "DIFFERENCE"}, {Title: "TIMES"}, {Title: "IN", Least: 12}, {Title: "BASELINE", Least: 12}, {Title: "MACHREG", Least: 12}, {Title: "FIRST MET IN", Least: 12}}
	findings := slices.Clone(r.Findings)
	slices.SortStableFunc(findings, func(a, b compare.Finding) int { return strings.Compare(a.Difference, b.Difference) })
	var rows [][]terminal.Cell
	for _, f := range findings {
		name := terminal.Cell{Text: f.Difference + " (expected)", Style: terminal.Good}
		if !f.Expected() {
			name = terminal.Cell{Text: "NOT EXPECTED", Style: terminal.Bad}
		}
		rows = append(rows, []terminal.Cell{
			name, {Text: fmt.Sprint(f.Count)}, {Text: f.What}, {Text: f.Baseline}, {Text: f.Here},
			{Text: fmt.Sprintf("sequence %d, step %d: %s", f.Sequence, f.Step, f.Command), Style: terminal.Faint},
		})
	}
	if len(rows) > 0 {
		if err := a.out.Table(columns, slices.Values(rows), true); err != nil {
			return err
		}
		a.out.Printf("\n")
	}
	a.out.Printf("%d commands in %d sequences, %d differences that are not expected; seed %d\n", r.Commands, r.Sequences, r.Unexpected, r.Seed)
	for _, d := range r.Unmet {
		a.out.Printf("not met here: %s, which %s of package proptest pins\n", d.Name, d.Property)
	}
	return a.out.Err()
}
