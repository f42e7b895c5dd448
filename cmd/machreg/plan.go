package main

import (
	"fmt"
	"iter"
	"strings"

	"github.com/machreg/machreg/cmd/machreg/internal/terminal"
	"github.com/machreg/machreg/registry"
)

// The kinds of step.
const (
	stepAdd    = "added"
	stepUpdate = "updated"
	// stepReplace puts a machine in the place of an entry that cannot be used.
	stepReplace = "replaced"
	stepRemove  = "removed"
)

// step is what becomes of one machine.
type step struct {
	kind     string
	name     string
	old, new registry.Machine // the zero value if there is none
}

// plan is the difference between a registry and what it shall be.
type plan struct {
	steps     []step // by the order of the input, removals last
	unchanged int
}

// makePlan compares. present yields the machines that may be removed if they
// are not wanted, get finds one, and holds tells of entries that cannot be used
// as well; the built-in machine stays in any case.
func makePlan(want []registry.Machine, get func(string) (registry.Machine, bool), holds func(string) bool, present iter.Seq2[string, registry.Machine]) plan {
	var p plan
	wanted := make(map[string]bool, len(want))
	for _, m := range want {
		wanted[m.Name] = true
		old, known := get(m.Name)
		switch {
		case !known && holds(m.Name):
			p.steps = append(p.steps, step{stepReplace, m.Name, old, m})
		case !known:
			p.steps = append(p.steps, step{stepAdd, m.Name, old, m})
		case old != m:
			p.steps = append(p.steps, step{stepUpdate, m.Name, old, m})
		default:
			p.unchanged++
		}
	}
	if present != nil {
		for name, m := range present {
			if !wanted[name] && name != registry.LocalName {
				p.steps = append(p.steps, step{kind: stepRemove, name: name, old: m})
			}
		}
	}
	return p
}

func (p *plan) count(kind string) (n int) {
	for _, s := range p.steps {
		if s.kind == kind {
			n++
		}
	}
	return n
}

// printPlan prints a line for every step.
func (a *app) printPlan(p plan) {
	if len(p.steps) == 0 {
		return
	}
	columns := append([]terminal.Column{{}}, tableColumns...)
	a.out.Table(columns, func(yield func([]terminal.Cell) bool) {
		var cells []terminal.Cell
		for _, s := range p.steps {
			if cells = s.row(cells[:0]); !yield(cells) {
				return
			}
		}
	}, true)
}

// row shows a machine as "list" does, or what changes about it.
func (s step) row(cells []terminal.Cell) []terminal.Cell {
	mark, style := s.mark()
	cells = append(cells, terminal.Cell{Text: mark, Style: style})
	switch s.kind {
	case stepAdd, stepReplace:
		return tableRow(cells, s.new)
	case stepRemove:
		return tableRow(cells, s.old)
	}
	return append(cells, terminal.Cell{Text: s.name, Style: terminal.Strong}, terminal.Cell{Text: s.updates()})
}

func (s step) mark() (string, terminal.Style) {
	switch s.kind {
	case stepAdd:
		return "+", terminal.Good
	case stepUpdate:
		return "~", terminal.Note
	case stepReplace:
		return "!", terminal.Note
	}
	return "-", terminal.Bad
}

// updates lists the fields that change.
func (s step) updates() string {
	var list []string
	for _, c := range changedFields(s.old, s.new) {
		list = append(list, fmt.Sprintf("%s: %s → %s", c.Field, orDash(c.From), orDash(c.To)))
	}
	return strings.Join(list, ", ")
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// fieldChange is one field that differs.
type fieldChange struct {
	Field string `json:"field"`
	From  string `json:"from"`
	To    string `json:"to"`
}

func changedFields(old, new registry.Machine) (list []fieldChange) {
	for _, f := range fields {
		if from, to := *f.value(&old), *f.value(&new); from != to {
			list = append(list, fieldChange{f.name, from, to})
		}
	}
	return list
}

// describe is a machine in a line, without its name.
func describe(m registry.Machine) string {
	list := []string{m.Type}
	for _, s := range []string{m.Host, m.KeyPath, m.TownPath} {
		if s != "" {
			list = append(list, s)
		}
	}
	return strings.Join(list, "  ")
}
