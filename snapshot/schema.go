package snapshot

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Schema says what one registry file holds.
//
// V is any type that encoding/json/v2 can marshal and unmarshal. Where V is a
// struct without marshalling methods of its own, members of an entry that V
// does not know are kept when the entry is rewritten; otherwise V owns the
// whole value.
type Schema[V any] struct {
	// Collection is the member of the file that holds the entries, say
	// "machines". Required.
	Collection string
	// Check reports why a value cannot be used under a name, and may complete
	// the value from the name. It runs on every value on its way in, where
	// its error refuses the write, and on every value found in a file, where
	// its error puts the entry in quarantine. Optional. It must not block,
	// must be safe for concurrent use, and must judge by its arguments alone.
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
	carries bool // V is a struct whose unknown members are kept
	known   sync.Map
	strings []int // fields of struct V that are strings, in order
	builtin []*entry[V]
	clone   func(V) V // nil: an assignment is a copy
}

// carrier decodes V and, in Rest, the members that V does not know.
type carrier[V any] struct {
	Value V              `json:",embed"`
	Rest  jsontext.Value `json:",embed"`
}

// reserved are the members of a file that belong to the format.
var reserved = []string{memberVersion, memberRevision, memberChecksum}

// NewCodec compiles a schema. An error is a mistake in the program: a missing
// or reserved collection name, or a V that cannot be marshalled.
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
	t := reflect.TypeFor[V]()
	if t.Kind() == reflect.Struct {
		_, err := json.Marshal(carrier[V]{})
		c.carries = err == nil
		for i := range t.NumField() {
			if f := t.Field(i); f.Type.Kind() == reflect.String && f.IsExported() {
				c.strings = append(c.strings, i)
			}
		}
	}
	if !isPlain(t) {
		if c.clone = schema.Clone; c.clone == nil {
			c.clone = c.decodeAgain
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
		_, err := c.decodeValue(name, value)
		return Entry[V]{}, fmt.Errorf("%q: cannot be read back: %w", name, err)
	}
	return Entry[V]{e}, nil
}

// entryOf makes the entry of one line, which must be `"name": value`; value is
// the same bytes again, and only read. An entry that cannot be used comes back quarantined; an
// error means that the value is not valid JSON.
func (c *Codec[V]) entryOf(name, line string, value []byte) (*entry[V], error) {
	e := &entry[V]{line: line, hash: hashName(name)}
	if len(line) > len(name)+1 && line[1:1+len(name)] == name {
		name = line[1 : 1+len(name)]
	}
	e.name = name
	rest, err := c.decodeInto(&e.value, name, value)
	if err != nil {
		if !jsontext.Value(value).IsValid() {
			return nil, err
		}
		var zero V
		e.value = zero
		e.state = quarantined | hidden
		for _, b := range c.builtin {
			if b.name == name {
				e.value, e.state = b.value, quarantined
			}
		}
		return e, nil
	}
	if rest {
		e.state |= hasRest
	}
	c.alias(&e.value, line)
	return e, nil
}

// reason is why a quarantined entry cannot be used.
func (c *Codec[V]) reason(e *entry[V]) string {
	_, err := c.decodeValue(e.name, []byte(e.line[valueAt(e.line):]))
	if err == nil {
		return "unusable"
	}
	return err.Error()
}

func (c *Codec[V]) decodeValue(name string, value []byte) (V, error) {
	var v V
	_, err := c.decodeInto(&v, name, value)
	return v, err
}

// decodeInto reports whether the value has members that V does not know.
func (c *Codec[V]) decodeInto(v *V, name string, value []byte) (rest bool, err error) {
	if name == "" {
		err = errors.New("empty name")
	} else {
		err = CheckText(name)
	}
	if err != nil {
		return false, fmt.Errorf("name: %w", err)
	}
	if c.carries {
		var w carrier[V]
		if err := json.Unmarshal(value, &w); err != nil {
			return false, plainError(err)
		}
		*v, rest = w.Value, len(w.Rest) > 0
	} else if err := json.Unmarshal(value, v); err != nil {
		return false, plainError(err)
	}
	if c.schema.Check != nil {
		if err := c.schema.Check(name, v); err != nil {
			return false, err
		}
	}
	return rest, nil
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
	if c.clone != nil {
		return c.clone(e.value)
	}
	return e.value
}

// decodeAgain is the clone of a V that holds references and has no Clone.
func (c *Codec[V]) decodeAgain(v V) V {
	data, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("snapshot: a stored value no longer marshals: %v", err))
	}
	var w V
	if err := json.Unmarshal(data, &w); err != nil {
		panic(fmt.Sprintf("snapshot: a stored value no longer unmarshals: %v", err))
	}
	return w
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
