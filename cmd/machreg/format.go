package main

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"iter"
	"strings"
	"text/template"

	"go.yaml.in/yaml/v3"

	"github.com/machreg/machreg/cmd/machreg/internal/sshconfig"
	"github.com/machreg/machreg/cmd/machreg/internal/terminal"
	"github.com/machreg/machreg/registry"
)

// format is the value of -o.
type format struct {
	name     string
	template *template.Template
}

const formatNames = "table, wide, json, yaml, csv, name or template=TEMPLATE"

func (f *format) String() string { return f.name }
func (f *format) Type() string   { return "FORMAT" }

func (f *format) Set(s string) error {
	if text, ok := strings.CutPrefix(s, "template="); ok {
		t, err := template.New("template").Parse(text)
		if err != nil {
			return err
		}
		// Once on a machine of no consequence, so that a misspelt field is
		// reported before anything is printed.
		if err := t.Execute(&bytes.Buffer{}, registry.Machine{}); err != nil {
			return err
		}
		f.name, f.template = "template", t
		return nil
	}
	switch s {
	case "table", "wide", "json", "yaml", "csv", "name":
		f.name, f.template = s, nil
		return nil
	}
	return fmt.Errorf("want %s", formatNames)
}

// fields are the members of a machine, in the order they are shown in.
var fields = []struct {
	name  string
	value func(*registry.Machine) *string
}{
	{"name", func(m *registry.Machine) *string { return &m.Name }},
	{"type", func(m *registry.Machine) *string { return &m.Type }},
	{"host", func(m *registry.Machine) *string { return &m.Host }},
	{"key_path", func(m *registry.Machine) *string { return &m.KeyPath }},
	{"town_path", func(m *registry.Machine) *string { return &m.TownPath }},
}

// yamlMachine is a Machine with the names that YAML output uses.
type yamlMachine struct {
	Name     string `yaml:"name"`
	Type     string `yaml:"type"`
	Host     string `yaml:"host"`
	KeyPath  string `yaml:"key_path"`
	TownPath string `yaml:"town_path"`
}

// printMachines prints a list in the format f. It stops early when nobody reads
// the output any more.
func (a *app) printMachines(f format, list iter.Seq[registry.Machine], headers bool) error {
	switch f.name {
	case "json":
		return a.printJSON(list)
	case "csv":
		return a.printCSV(list, headers)
	case "table":
		return a.out.Table(tableColumns, rows(list, tableRow), headers)
	case "wide":
		columns := append([]terminal.Column{}, wideColumns...)
		return a.out.Table(columns, rows(list, wideRow), headers)
	}
	empty := true
	for m := range list {
		empty = false
		if err := a.printEach(f, m); err != nil {
			return err
		}
	}
	if empty && f.name == "yaml" {
		a.out.Printf("[]\n")
	}
	return a.out.Err()
}

// printEach prints one element of the formats whose lists are just their
// elements.
func (a *app) printEach(f format, m registry.Machine) error {
	switch f.name {
	case "name":
		a.out.Printf("%s\n", m.Name)
	case "template":
		if err := f.template.Execute(a.out, m); err != nil {
			return err
		}
		a.out.Printf("\n")
	case "yaml":
		text, err := yaml.Marshal([]yamlMachine{yamlMachine(m)})
		if err != nil {
			return err
		}
		a.out.Write(text)
	}
	return a.out.Err()
}

// printJSON prints an array with one machine a line.
func (a *app) printJSON(list iter.Seq[registry.Machine]) error {
	before := "[\n"
	for m := range list {
		text, err := marshalJSON(m, "")
		if err != nil {
			return err
		}
		a.out.Printf("%s%s", before, text)
		if before = ",\n"; a.out.Err() != nil {
			return a.out.Err()
		}
	}
	if before == "[\n" {
		a.out.Printf("[]\n")
	} else {
		a.out.Printf("\n]\n")
	}
	return a.out.Err()
}

// marshalJSON is v as JSON that may be shown on a terminal.
func marshalJSON(v any, indent string) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", indent)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return terminal.SafeJSON(bytes.TrimSuffix(b.Bytes(), []byte("\n"))), nil
}

func (a *app) printCSV(list iter.Seq[registry.Machine], headers bool) error {
	w := csv.NewWriter(a.out)
	record := make([]string, len(fields))
	if headers {
		for i, f := range fields {
			record[i] = f.name
		}
		w.Write(record)
	}
	for m := range list {
		for i, f := range fields {
			record[i] = *f.value(&m)
		}
		if err := w.Write(record); err != nil {
			return err
		}
	}
	w.Flush()
	return w.Error()
}

var tableColumns = []terminal.Column{
	{Title: "NAME", Least: 12}, {Title: "TYPE", Least: 6}, {Title: "HOST", Least: 12}, {Title: "KEY", Least: 10}, {Title: "TOWN", Least: 10},
}

var wideColumns = []terminal.Column{
	{Title: "NAME"}, {Title: "TYPE"}, {Title: "USER"}, {Title: "ADDRESS"}, {Title: "PORT"}, {Title: "KEY"}, {Title: "TOWN"},
}

func rows(list iter.Seq[registry.Machine], row func([]terminal.Cell, registry.Machine) []terminal.Cell) iter.Seq[[]terminal.Cell] {
	return func(yield func([]terminal.Cell) bool) {
		var cells []terminal.Cell
		for m := range list {
			if cells = row(cells[:0], m); !yield(cells) {
				return
			}
		}
	}
}

func tableRow(cells []terminal.Cell, m registry.Machine) []terminal.Cell {
	return append(cells, terminal.Cell{Text: m.Name, Style: terminal.Strong}, typeCell(m), cell(m.Host), cell(m.KeyPath), cell(m.TownPath))
}

// wideRow takes the destination apart.
func wideRow(cells []terminal.Cell, m registry.Machine) []terminal.Cell {
	var port string
	d, err := sshconfig.ParseDestination(m.Host)
	if err != nil {
		d = sshconfig.Destination{Host: m.Host}
	} else if d.Port != 0 {
		port = fmt.Sprint(d.Port)
	}
	return append(cells, terminal.Cell{Text: m.Name, Style: terminal.Strong}, typeCell(m), cell(d.User), cell(d.Host), cell(port), cell(m.KeyPath), cell(m.TownPath))
}

// cell shows that there is nothing where there is nothing.
func cell(s string) terminal.Cell {
	if s == "" {
		return terminal.Cell{Text: "-", Style: terminal.Faint}
	}
	return terminal.Cell{Text: s}
}

func typeCell(m registry.Machine) terminal.Cell {
	switch m.Type {
	case registry.TypeSSH:
		return terminal.Cell{Text: m.Type, Style: terminal.Accent}
	case registry.TypeLocal:
		return terminal.Cell{Text: m.Type, Style: terminal.Good}
	}
	return terminal.Cell{Text: m.Type, Style: terminal.Note}
}
