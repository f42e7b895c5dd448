package main

import (
	"slices"

	"github.com/machreg/machreg/cmd/machreg/internal/compare"
	"github.com/machreg/machreg/cmd/machreg/internal/terminal"
)

// printComparison prints a report as tables: a line for each figure, a column for
// each contestant. Contestants that do not fit beside each other on a terminal
// follow in another table.
func (a *app) printComparison(r *compare.Report) error {
	for i, n := range a.fittingColumns(r) {
		if i > 0 {
			a.out.Printf("\n")
		}
		if err := a.printResults(r, n); err != nil {
			return err
		}
	}
	a.out.Printf("\n")
	for _, l := range r.Notes() {
		a.out.Printf("%s\n", terminal.Safe(l))
	}
	for _, res := range r.Results {
		for _, f := range res.FailureList() {
			a.out.Printf("%s: %s\n", res.Name, terminal.Safe(f))
		}
	}
	a.out.Printf("\n%s %s\n", a.out.Paint(terminal.Faint, "again:"), terminal.Safe(r.Command))
	return a.out.Err()
}

const tableGap = 2

// fittingColumns divides the contestants into groups that fit the terminal.
func (a *app) fittingColumns(r *compare.Report) (groups [][]int) {
	label := 0
	for _, f := range compare.Figures {
		label = max(label, terminal.Width(f.Label))
	}
	used := 0
	for i := range r.Results {
		width := terminal.Width(r.Results[i].Name)
		for _, f := range compare.Figures {
			width = max(width, terminal.Width(f.Of(&r.Results[i])))
		}
		width += tableGap
		if len(groups) == 0 || a.out.Width() > 0 && used+width > a.out.Width() {
			groups = append(groups, nil)
			used = label
		}
		used += width
		groups[len(groups)-1] = append(groups[len(groups)-1], i)
	}
	return groups
}

func (a *app) printResults(r *compare.Report, which []int) error {
	columns := []terminal.Column{{}}
	for _, i := range which {
		columns = append(columns, terminal.Column{Title: r.Results[i].Name})
	}
	var rows [][]terminal.Cell
	for _, f := range compare.Figures {
		row := []terminal.Cell{{Text: f.Label}}
		for _, i := range which {
			cell := terminal.Cell{Text: f.Of(&r.Results[i])}
			if f.Wrong != nil && f.Wrong(&r.Results[i]) {
				cell.Style = terminal.Bad
			}
			row = append(row, cell)
		}
		rows = append(rows, row)
	}
	return a.out.Table(columns, slices.Values(rows), true)
}
