package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/go-json-experiment/json"
	"go.yaml.in/yaml/v3"

	"github.com/machreg/machreg/cmd/internal/wholefile"
	"github.com/machreg/machreg/cmd/machreg/internal/terminal"
	"github.com/machreg/machreg/registry"
)

// draft is a machine as a text file that somebody edits.
type draft struct {
	name     string
	syntax   string // yaml or json
	path     string
	original string
	text     string // as last read or written
	rejected bool   // the text says why it was not accepted
}

const hintTempDir = "set TMPDIR to a directory that exists and may be written"

const draftHead = `# The machine %s at revision %d. Save and leave the editor to store it.
# Lines that begin with # do not count; an empty text stores nothing.
#
#   type       ssh, local, or any other word; required
#   host       HOST, USER@HOST or ssh://USER@HOST:PORT; required for ssh
#   key_path   identity file for ssh
#   town_path  working directory on the machine
#
# To change the name, use "machreg rename".
`

func newDraft(m registry.Machine, rev registry.Revision, syntax string) (*draft, error) {
	// Readable by its owner only, as CreateTemp makes it.
	file, err := os.CreateTemp("", "machreg-edit-*."+syntax)
	if err != nil {
		return nil, hinted{fmt.Errorf("edit %q: no place for the text: %w", m.Name, err), hintTempDir}
	}
	d := &draft{name: m.Name, syntax: syntax, path: file.Name()}
	d.original = fmt.Sprintf(draftHead, terminal.Safe(m.Name), rev) + machineText(m, syntax)
	d.text = d.original
	_, err = file.WriteString(d.text)
	if err = errors.Join(err, file.Close()); err != nil {
		return nil, fmt.Errorf("edit %q: %w", m.Name, errors.Join(err, os.Remove(d.path)))
	}
	return d, nil
}

// machineText is m for an editor.
func machineText(m registry.Machine, syntax string) string {
	if syntax == "json" {
		text, err := marshalJSON(m, "  ")
		if err != nil {
			return err.Error() + "\n" // strings only: it cannot happen
		}
		return string(text) + "\n"
	}
	text, err := yaml.Marshal(yamlMachine(m))
	if err != nil {
		return err.Error() + "\n"
	}
	return string(text)
}

func (d *draft) read() error {
	text, err := os.ReadFile(d.path)
	d.text = string(text)
	return err
}

// machine reads the text. An empty one is the machine as it was.
func (d *draft) machine() (m registry.Machine, err error) {
	text := uncommented(d.text)
	if strings.TrimSpace(text) == "" {
		text = uncommented(d.original)
	}
	if d.syntax == "json" {
		err = json.Unmarshal([]byte(text), &m, json.RejectUnknownMembers(true))
	} else {
		m, err = parseYAML(text)
	}
	if err != nil {
		return m, err
	}
	if m.Name != d.name {
		return m, fmt.Errorf("name: it cannot be changed here from %q to %q", d.name, m.Name)
	}
	if err := m.Validate(); err != nil {
		return m, errors.New(err.Error()) // a mistake in a text, not on the command line
	}
	return m, nil
}

func parseYAML(text string) (registry.Machine, error) {
	var y yamlMachine
	dec := yaml.NewDecoder(bytes.NewReader([]byte(text)))
	dec.KnownFields(true)
	if err := dec.Decode(&y); err != nil {
		return registry.Machine{}, err
	}
	if err := dec.Decode(&yaml.Node{}); err != io.EOF {
		return registry.Machine{}, errors.New("there is more than one machine")
	}
	return registry.Machine(y), nil
}

// reject writes the reason above the text.
func (d *draft) reject(reason error) error {
	d.rejected = true
	note := "# NOT STORED: " + strings.ReplaceAll(terminal.SafeLines(reason.Error()), "\n", "\n# ") + "\n"
	var kept []string
	for _, line := range strings.SplitAfter(d.text, "\n") {
		if !strings.HasPrefix(line, "# NOT STORED: ") {
			kept = append(kept, line)
		}
	}
	d.text = note + strings.Join(kept, "")
	return wholefile.Write(d.path, func(w io.Writer) error {
		_, err := io.WriteString(w, d.text)
		return err
	})
}

// uncommented is text without the lines that begin with #.
func uncommented(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(strings.TrimLeft(line, " \t"), "#") {
			b.WriteString(line)
		}
	}
	return b.String()
}
