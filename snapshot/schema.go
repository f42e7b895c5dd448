package snapshot

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Schema says what one registry file holds.
//
// V is any type that encoding/json/v2 can marshal and unmarshal. Where V is a
// struct, or a pointer to one, without marshalling methods and without an
// embedded field for unknown members of its own, members of an entry that V
// does not know are kept when the entry is rewritten; otherwise, and where it
// is a nil pointer, V owns the whole value. It always owns what is nested
// inside its members.
type Schema[V any] struct {
	// Collection is the member of the file that holds the entries, say
	// "machines". Required.
	Collection string
	// Check reports why a value cannot be used under a name, and may complete
	// the value from the name. It runs on every value on its way in, where
	// its error refuses the write, and on every value found in a file, where
	// its error puts the entry in quarantine. So does a panic there, so that a
	// value in a file cannot take down every program that reads it. Optional.
	// It must not block, must be safe for concurrent use, and must judge by
	// its arguments alone.
	Check func(name string, v *V) error
	// Builtin are entries that always exist: each is there even if the file
	// does not hold it, and stands in for a quarantined one of its name.
	Builtin map[string]V
	// Clone copies a value for a caller. It matters only where V holds
	// references (slices, maps, pointers); by default such values are then
	// decoded anew for each caller, which is always right and never fast.
	Clone func(V) V
}

// Codec is a Schema ready for use. It is immutable and safe for concurrent use.
type Codec[V any] struct {
	schema  Schema[V]
	carries bool  // unknown members are kept beside V
	form    *form // how V is written, if that is simple
	strings []int // fields of struct V that are strings, in order
	builtin []*entry[V]
	plain   bool // an assignment copies all of a V
	careful bool // the schema's code is called on goroutines of its own
}

// reserved are the members of a file that belong to the format.
var reserved = []string{memberVersion, memberRevision, memberChecksum}

// NewCodec compiles a schema. An error is a mistake in the program: a missing
// or reserved collection name, a V that cannot be marshalled (the error names
// the field), or a built-in entry that cannot be used. It runs no code of V but
// on the built-in entries.
func NewCodec[V any](schema Schema[V]) (*Codec[V], error) {
	c := &Codec[V]{schema: schema}
	if err := CheckText(schema.Collection); err != nil || schema.Collection == "" {
		return nil, fmt.Errorf("schema: collection %q: not a usable name", schema.Collection)
	}
	for _, r := range reserved {
		if schema.Collection == r {
			return nil, fmt.Errorf("schema: collection %q: the name is reserved", schema.Collection)
		}
	}
	var err error
	if c.carries, err = carries[V](); err != nil {
		return nil, fmt.Errorf("schema: %w", err)
	}
	t := reflect.TypeFor[V]()
	c.plain = isPlain(t)
	if t.Kind() == reflect.Struct {
		for i := range t.NumField() {
			if f := t.Field(i); f.Type.Kind() == reflect.String && f.IsExported() {
				c.strings = append(c.strings, i)
			}
		}
		if c.carries {
			c.form = learnForm[V]()
		}
	}
	for name, v := range schema.Builtin {
		e, err := c.Entry(name, v)
		if err != nil {
			return nil, fmt.Errorf("schema: built-in entry: %w", err)
		}
		c.builtin = append(c.builtin, e.e)
	}
	return c, nil
}

// Collection is the member of the file that holds the entries.
func (c *Codec[V]) Collection() string { return c.schema.Collection }

// Builtin reports whether an entry of that name always exists.
func (c *Codec[V]) Builtin(name string) bool {
	_, ok := c.schema.Builtin[name]
	return ok
}

// Empty is the snapshot of a registry without a file: revision 0, nothing but
// the built-in entries.
func (c *Codec[V]) Empty() *Snapshot[V] {
	return c.assemble(nil, nil, 0, "")
}

// Entry checks and encodes a value for storage under name. The entry shares
// nothing with v.
func (c *Codec[V]) Entry(name string, v V) (Entry[V], error) {
	if name == "" {
		return Entry[V]{}, errors.New("empty name")
	}
	if err := CheckText(name); err != nil {
		return Entry[V]{}, fmt.Errorf("name %q: %w", name, err)
	}
	if c.schema.Check != nil {
		if err := c.schema.Check(name, &v); err != nil {
			return Entry[V]{}, fmt.Errorf("%q: %w", name, err)
		}
	}
	value, err := json.Marshal(v, json.Deterministic(true))
	if err != nil {
		return Entry[V]{}, fmt.Errorf("%q: cannot be written as JSON: %w", name, err)
	}
	// What a reader will decode is what this handle serves from now on: the
	// two must not differ, and nothing may be shared with the caller.
	e, err := c.entryOf(name, quoted(name)+": "+string(value), value)
	if err != nil {
		return Entry[V]{}, fmt.Errorf("%q: cannot be read back: %w", name, err)
	}
	if e.state&quarantined != 0 {
		return Entry[V]{}, fmt.Errorf("%q: cannot be read back: %s", name, c.reason(e))
	}
	return Entry[V]{e}, nil
}

// entryOf makes the entry of one line, which must be `"name": value`; value is
// the same bytes again, and only read. An entry that cannot be used comes back
// quarantined; an error means that the value cannot stand in a file at all.
func (c *Codec[V]) entryOf(name, line string, value []byte) (*entry[V], error) {
	b := c.builtinEntry(name)
	if b != nil && b.line == line {
		return b, nil // the same entry, whether the file holds it or not
	}
	e := &entry[V]{line: line, hash: hashName(name)}
	if len(line) > len(name)+1 && line[1:1+len(name)] == name {
		name = line[1 : 1+len(name)]
	}
	e.name = name
	if err := checkDepth(value); err != nil {
		return nil, err
	}
	valid, rest, err := c.decodeInto(&e.value, name, line, value)
	if err != nil {
		if !valid && !jsontext.Value(value).IsValid() {
			return nil, err
		}
		var zero V
		e.value = zero
		e.state = quarantined | hidden
		if b != nil {
			e.value, e.state = b.value, quarantined
		}
		return e, nil
	}
	if rest {
		e.state |= hasRest
	}
	return e, nil
}

func (c *Codec[V]) builtinEntry(name string) *entry[V] {
	for _, b := range c.builtin {
		if b.name == name {
			return b
		}
	}
	return nil
}

// checkDepth refuses what would nest too deep two levels further down, where
// an entry's value stands in the file.
func checkDepth(value []byte) error {
	const depth = 10_000 // of encoding/json, and of what is used here
	if len(value) < depth || jsontext.Value("[["+string(value)+"]]").IsValid() || !jsontext.Value(value).IsValid() {
		return nil
	}
	return errors.New("nested too deep")
}

// reason is why a quarantined entry cannot be used, safe for a terminal.
func (c *Codec[V]) reason(e *entry[V]) string {
	text := "unusable"
	if err := c.guard(func() {
		if _, err := c.decodeLine(e); err != nil {
			text = printable(err.Error())
		}
	}); err != nil { // of the error's own code
		text = printable(err.Error())
	}
	return text
}

// decodeLine decodes an entry once more.
func (c *Codec[V]) decodeLine(e *entry[V]) (V, error) {
	var v V
	_, _, err := c.decodeInto(&v, e.name, e.line, []byte(e.line[valueAt(e.line):]))
	return v, err
}

// decodeInto decodes value, which is what line ends with, and lets the strings
// of v alias line. It reports whether value is known to be valid JSON, and
// whether it has members that V does not know.
func (c *Codec[V]) decodeInto(v *V, name, line string, value []byte) (valid, rest bool, err error) {
	if name == "" {
		return false, false, errors.New("name: empty")
	}
	if err := CheckText(name); err != nil {
		return false, false, fmt.Errorf("name: %w", err)
	}
	if c.careful {
		here := *c
		here.careful = false
		if ended := c.guard(func() { valid, rest, err = here.decodeInto(v, name, line, value) }); ended != nil {
			return false, false, ended
		}
		return valid, rest, err
	}
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	formed := c.form != nil && c.form.read(reflect.ValueOf(v).Elem(), line[len(line)-len(value):])
	switch {
	case formed:
	case c.carries:
		w := newCarrier[V]()
		if err := json.Unmarshal(value, w); err != nil {
			return false, false, plainError(err)
		}
		*v, rest = w.Value, len(w.Rest) > 0
	default:
		if err := json.Unmarshal(value, v); err != nil {
			return false, false, plainError(err)
		}
	}
	if c.schema.Check != nil {
		if err := c.schema.Check(name, v); err != nil {
			return true, false, err
		}
	}
	if !formed {
		c.alias(v, line)
	}
	return true, rest, nil
}

// plainError words an unmarshalling error for somebody who looks at a file.
func plainError(err error) error {
	if se, ok := errors.AsType[*json.SemanticError](err); ok {
		at := string(se.JSONPointer)
		if at == "" {
			at = "value"
		}
		return fmt.Errorf("%s: wrong kind of value (%s)", at, se.JSONKind)
	}
	return err
}

// alias lets the string fields of v point into the line that they were decoded
// from, where it holds them verbatim: the line is kept anyway, so the text of
// an entry is in memory once.
func (c *Codec[V]) alias(v *V, line string) {
	if len(c.strings) == 0 {
		return
	}
	fields := reflect.ValueOf(v).Elem()
	from := 0
	for _, i := range c.strings {
		f := fields.Field(i)
		s := f.String()
		if s == "" {
			continue
		}
		at := strings.Index(line[from:], s)
		if at < 0 {
			from = 0
			if at = strings.Index(line, s); at < 0 {
				continue
			}
		}
		at += from
		f.SetString(line[at : at+len(s)])
		from = at + len(s)
	}
}

// out returns e's value for a caller to keep.
func (c *Codec[V]) out(e *entry[V]) V {
	switch {
	case c.plain:
		return e.value
	case c.schema.Clone != nil:
		return c.schema.Clone(e.value)
	case e.state&quarantined != 0: // a built-in stands in for it
		e = c.builtinEntry(e.name)
	}
	v, err := c.decodeLine(e)
	if err != nil {
		panic(fmt.Sprintf("snapshot: %q was decoded once and is not decoded again: %v", e.name, err))
	}
	return v
}

// isPlain reports whether an assignment copies all of a value of type t.
func isPlain(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Slice, reflect.Map, reflect.Pointer, reflect.Interface,
		reflect.Func, reflect.Chan, reflect.UnsafePointer:
		return false
	case reflect.Array:
		return isPlain(t.Elem())
	case reflect.Struct:
		if t == reflect.TypeFor[time.Time]() { // immutable behind its pointer
			return true
		}
		for i := range t.NumField() {
			if !isPlain(t.Field(i).Type) {
				return false
			}
		}
	}
	return true
}

// Value returns the value of an entry, for a caller to keep.
func (c *Codec[V]) Value(e Entry[V]) V { return c.out(e.e) }
