package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/machreg/machreg/registry"
	"github.com/machreg/machreg/snapshot"
)

// input is a set of machines that somebody wrote down: a registry file, or an
// array of machines. Unlike a registry it is not read as far as it is good:
// every mistake in it is an error that names its line.
type input struct {
	name     string
	data     []byte
	machines []registry.Machine
	offsets  map[string]int // where each machine is, in bytes
	unknown  messages       // members that nothing knows, worded for a warning
	mistakes messages
}

// messages are what there is to say about an input, a line each. Only so many
// are worth saying; the others are counted.
type messages struct {
	list []string
	more int
}

const maxMessages = 20

func (m *messages) addf(in *input, offset int, format string, args ...any) {
	if len(m.list) == maxMessages {
		m.more++
		return
	}
	m.list = append(m.list, fmt.Sprintf("%s:%d: %s", in.name, lineAt(in.data, offset), fmt.Sprintf(format, args...)))
}

func (m *messages) all() []string {
	if m.more > 0 {
		return append(slices.Clip(m.list), fmt.Sprintf("and %d more", m.more))
	}
	return m.list
}

// readInput reads all of path, or of stdin if it is "-".
func (a *app) readInput(path string) (data []byte, name string, err error) {
	if path == "-" {
		data, err = io.ReadAll(io.LimitReader(a.stdin, snapshot.DefaultMaxSize+1))
		name = "stdin"
	} else {
		name = path
		info, serr := os.Stat(path)
		switch {
		case serr != nil:
			return nil, "", serr
		case info.IsDir():
			return nil, "", fmt.Errorf("read %q: is a directory", path)
		case info.Size() > snapshot.DefaultMaxSize:
			return nil, "", tooLarge(name)
		}
		data, err = os.ReadFile(path)
	}
	if err == nil && len(data) > snapshot.DefaultMaxSize {
		err = tooLarge(name)
	}
	return data, name, err
}

func tooLarge(name string) error {
	return fmt.Errorf("read %q: larger than %d bytes", name, int64(snapshot.DefaultMaxSize))
}

// parseInput reads machines. The error lists every mistake, a line each.
func parseInput(name string, data []byte) (*input, error) {
	in := &input{name: name, data: data, offsets: make(map[string]int)}
	// A bytes.Buffer is read in place, without a copy.
	dec := jsontext.NewDecoder(bytes.NewBuffer(slices.Clip(data)))
	if err := in.document(dec); err != nil {
		in.syntax(err)
	}
	if list := in.mistakes.all(); len(list) > 0 {
		return nil, errors.New(strings.Join(list, "\n"))
	}
	return in, nil
}

func (in *input) document(dec *jsontext.Decoder) error {
	switch dec.PeekKind() {
	case '[':
		if err := in.array(dec); err != nil {
			return err
		}
	case '{':
		if err := in.registry(dec); err != nil {
			return err
		}
	case 0:
		if _, err := dec.ReadToken(); err != nil {
			return err
		}
	default:
		in.mistake(0, "want a registry file or an array of machines")
		return nil
	}
	if _, err := dec.ReadToken(); err != io.EOF {
		if err == nil {
			in.mistake(int(dec.InputOffset())-1, "something follows the end")
			return nil
		}
		return err
	}
	return nil
}

func (in *input) array(dec *jsontext.Decoder) error {
	dec.ReadToken()
	for dec.PeekKind() != ']' {
		value, err := dec.ReadValue()
		if err != nil {
			return err
		}
		in.machine("", value, int(dec.InputOffset())-len(value))
	}
	_, err := dec.ReadToken()
	return err
}

// registry reads a file of the registry's own shape. What it says of itself
// besides the format's version (its revision, its checksum) is of no account:
// people edit such files.
func (in *input) registry(dec *jsontext.Decoder) error {
	dec.ReadToken()
	found := false
	for dec.PeekKind() != '}' {
		name, err := dec.ReadToken()
		if err != nil {
			return err
		}
		switch member := name.String(); member {
		case "machines":
			found = true
			if dec.PeekKind() != '{' {
				in.mistake(int(dec.InputOffset()), "\"machines\" is not an object")
				return nil
			}
			if err := in.collection(dec); err != nil {
				return err
			}
		default:
			value, err := dec.ReadValue()
			if err != nil {
				return err
			}
			if member == "version" && string(value) != "1" {
				in.mistake(int(dec.InputOffset())-len(value), "unknown version %s", value)
				return nil
			}
		}
	}
	if !found {
		in.mistake(int(dec.InputOffset()), "no member \"machines\": want a registry file or an array of machines")
	}
	_, err := dec.ReadToken()
	return err
}

func (in *input) collection(dec *jsontext.Decoder) error {
	dec.ReadToken()
	for dec.PeekKind() != '}' {
		token, err := dec.ReadToken()
		if err != nil {
			return err
		}
		name := token.String()
		value, err := dec.ReadValue()
		if err != nil {
			return err
		}
		in.machine(name, value, int(dec.InputOffset())-len(value))
	}
	_, err := dec.ReadToken()
	return err
}

// machine reads one machine at an offset. key is the member that it is the
// value of, or empty.
func (in *input) machine(key string, value jsontext.Value, offset int) {
	var m registry.Machine
	var members map[string]jsontext.Value
	if value.Kind() != '{' {
		in.mistake(offset, "%s: not an object", orEntry(key))
		return
	}
	if err := errors.Join(json.Unmarshal(value, &m), json.Unmarshal(value, &members)); err != nil {
		reason := err.Error()
		if se, ok := errors.AsType[*json.SemanticError](err); ok {
			reason = fmt.Sprintf("%s: wrong kind of value (%s)", strings.TrimPrefix(string(se.JSONPointer), "/"), se.JSONKind)
		}
		in.mistake(offset, "%s: %s", orEntry(key), reason)
		return
	}
	if m.Name == "" {
		m.Name = key
	}
	if key != "" && m.Name != key {
		in.mistake(offset, "%q: its name is %q", key, m.Name)
		return
	}
	if err := m.Validate(); err != nil {
		in.mistake(offset, "%s: %v", orEntry(m.Name), err)
		return
	}
	if before, again := in.offsets[m.Name]; again {
		in.mistake(offset, "%q is there twice, first in line %d", m.Name, lineAt(in.data, before))
		return
	}
	for member := range members {
		if !isField(member) {
			in.unknown.addf(in, offset, "%q: member %q means nothing to machreg and is left out", m.Name, member)
		}
	}
	in.offsets[m.Name] = offset
	in.machines = append(in.machines, m)
}

func isField(name string) bool {
	for _, f := range fields {
		if f.name == name {
			return true
		}
	}
	return false
}

func orEntry(name string) string {
	if name == "" {
		return "machine without a name"
	}
	return fmt.Sprintf("%q", name)
}

func (in *input) mistake(offset int, format string, args ...any) {
	in.mistakes.addf(in, offset, format, args...)
}

// syntax words an error of the JSON decoder.
func (in *input) syntax(err error) {
	offset := len(in.data)
	if se, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		offset = int(se.ByteOffset)
		switch {
		case errors.Is(err, jsontext.ErrDuplicateName):
			err = fmt.Errorf("duplicate name %q", se.JSONPointer.LastToken())
		case errors.Is(err, io.ErrUnexpectedEOF):
			err = errors.New("unexpected end")
		default:
			err = se.Err
		}
	} else if err == io.EOF {
		err = errors.New("it is empty: want a registry file or an array of machines")
	}
	in.mistake(offset, "%v", err)
}

func lineAt(data []byte, offset int) int {
	return 1 + bytes.Count(data[:min(max(offset, 0), len(data))], []byte{'\n'})
}
