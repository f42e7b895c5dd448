package snapshot

import (
	"encoding"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// What is here looks at types alone. None of V's code runs: it would have to
// run on values that no file holds and no caller made.

// carrier decodes V and, in Rest, the members that V does not know.
type carrier[V any] struct {
	Value V              `json:",embed"`
	Rest  jsontext.Value `json:",embed"`
}

// newCarrier returns a carrier to decode into. A V that is a pointer then is
// nil after a null only, as without a carrier.
func newCarrier[V any]() *carrier[V] {
	w := new(carrier[V])
	if v := reflect.ValueOf(&w.Value).Elem(); v.Kind() == reflect.Pointer {
		v.Set(reflect.New(v.Type().Elem()))
	}
	return w
}

// visitMembers makes the decoder find the field for each member of an object,
// hand visit a pointer to it, and pass over the member's value.
func visitMembers(visit func(field any)) json.Options {
	return json.WithUnmarshalers(json.UnmarshalFromFunc(func(dec *jsontext.Decoder, field any) error {
		if dec.StackDepth() == 0 {
			return errors.ErrUnsupported // the object itself
		}
		visit(field)
		return dec.SkipValue()
	}))
}

var skipMembers = visitMembers(func(any) {})

// object is an object with one member.
func object(name string) []byte { return []byte("{" + quoted(name) + ":null}") }

// carries reports whether unknown members are kept beside V: they are if V is
// a struct, or a pointer to one, that does not marshal itself and has no field
// for them. An error says why V is not fit for a schema.
func carries[V any]() (bool, error) {
	t := reflect.TypeFor[V]()
	if err := checkType(t); err != nil {
		return false, err
	}
	s := t
	for s.Kind() == reflect.Pointer {
		s = s.Elem()
	}
	if s.Kind() != reflect.Struct || implements(s, marshals) || implements(s, unmarshals) {
		return false, nil
	}
	unknown := object("\x00")
	if json.Unmarshal(unknown, reflect.New(s).Interface(), skipMembers, json.RejectUnknownMembers(true)) == nil {
		return false, nil
	}
	// Asked rather than assumed, since JSON packages differ in what they embed.
	w := newCarrier[V]()
	if err := json.Unmarshal(unknown, w, skipMembers); err != nil || len(w.Rest) == 0 {
		return false, fmt.Errorf("%v: members that it does not know could not be kept; want a struct or a pointer to one", t)
	}
	return true, nil
}

// checkType reports what in t, by its Go path, cannot be marshalled.
func checkType(t reflect.Type) error {
	path := t.String()
	if strings.Contains(path, "{") { // a type that is spelled out
		path = "V"
	}
	return (&typeCheck{seen: make(map[reflect.Type]bool)}).check(t, path)
}

// The methods by which types marshal themselves.
var (
	marshals = []reflect.Type{
		reflect.TypeFor[json.MarshalerTo](), reflect.TypeFor[json.Marshaler](),
		reflect.TypeFor[encoding.TextAppender](), reflect.TypeFor[encoding.TextMarshaler](),
	}
	unmarshals = []reflect.Type{
		reflect.TypeFor[json.UnmarshalerFrom](), reflect.TypeFor[json.Unmarshaler](),
		reflect.TypeFor[encoding.TextUnmarshaler](),
	}
)

// implements reports whether t or a pointer to it has one of these methods.
func implements(t reflect.Type, methods []reflect.Type) bool {
	return slices.ContainsFunc(methods, func(m reflect.Type) bool {
		return t.Implements(m) || reflect.PointerTo(t).Implements(m)
	})
}

// typeCheck finds what in a type cannot be marshalled and unmarshalled. Types
// that do both themselves, and interfaces, are taken on trust.
type typeCheck struct{ seen map[reflect.Type]bool }

// check returns an error that begins with the Go path of what it found.
func (c *typeCheck) check(t reflect.Type, path string) error {
	if c.seen[t] || implements(t, marshals) && implements(t, unmarshals) {
		return nil
	}
	c.seen[t] = true
	switch t.Kind() {
	case reflect.Chan, reflect.Func, reflect.Complex64, reflect.Complex128, reflect.UnsafePointer:
		return fmt.Errorf("%s: JSON has no form for %v", path, t)
	case reflect.Pointer:
		return c.check(t.Elem(), path)
	case reflect.Slice, reflect.Array:
		return c.check(t.Elem(), path+"[]")
	case reflect.Map:
		if !isKey(t.Key()) {
			return fmt.Errorf("%s: JSON has no form for a key that is %v", path, t.Key())
		}
		if err := c.check(t.Key(), path+"[key]"); err != nil {
			return err
		}
		return c.check(t.Elem(), path+"[]")
	case reflect.Struct:
		return c.checkStruct(t, path)
	}
	if t == reflect.TypeFor[time.Duration]() {
		return fmt.Errorf("%s: JSON has no form for %v; want a number, or a type with methods", path, t)
	}
	return nil
}

// isKey reports whether t can be the name of a member.
func isKey(t reflect.Type) bool {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch t.Kind() {
	case reflect.String, reflect.Interface:
		return true
	case reflect.Array: // in base64
		return t.Elem().Kind() == reflect.Uint8
	}
	return isNumber(t) || implements(t, marshals) && implements(t, unmarshals)
}

func isNumber(t reflect.Type) bool {
	return t.Kind() >= reflect.Int && t.Kind() <= reflect.Float64
}

// takesString reports whether a field of type t may have the option "string".
func takesString(t reflect.Type) bool {
	return isNumber(t) || t != reflect.TypeFor[time.Time]() && implements(t, marshals) && implements(t, unmarshals)
}

func (c *typeCheck) checkStruct(t reflect.Type, path string) error {
	// The decoder looks at all fields and their tags before it finds nothing
	// to decode. Where the type has a method for that, it would not look.
	var chosen func(name string) reflect.Type
	if !implements(t, unmarshals) {
		if err := json.Unmarshal([]byte("{}"), reflect.New(t).Interface()); err != nil {
			if se, ok := errors.AsType[*json.SemanticError](err); ok && se.Err != nil {
				err = se.Err
			}
			return fmt.Errorf("%s: %w", path, err)
		}
		chosen = func(name string) (field reflect.Type) {
			visit := visitMembers(func(p any) { field = reflect.TypeOf(p).Elem() })
			json.Unmarshal(object(name), reflect.New(t).Interface(), visit)
			return field
		}
	}
	return c.checkFields(t, path, chosen, map[reflect.Type]bool{t: true})
}

// checkFields checks the fields of a struct and of what it embeds. chosen, if
// it is known, returns the type of the field that a name stands for: another
// field of that name is hidden.
func (c *typeCheck) checkFields(t reflect.Type, path string, chosen func(name string) reflect.Type, within map[reflect.Type]bool) error {
	for i := range t.NumField() {
		f := t.Field(i)
		tag := f.Tag.Get("json")
		if tag == "-" || !f.IsExported() && !f.Anonymous {
			continue
		}
		name, list, _ := strings.Cut(tag, ",")
		options := strings.Split(list, ",")
		at, base := path+"."+f.Name, f.Type
		for base.Kind() == reflect.Pointer {
			base = base.Elem()
		}
		var err error
		switch {
		case f.Anonymous && name == "" || slices.Contains(options, "embed"):
			if base.Kind() != reflect.Struct {
				err = c.check(base, at)
			} else if !within[base] {
				within[base] = true
				err = c.checkFields(base, at, chosen, within)
			}
		default:
			if name == "" {
				name = f.Name
			}
			if chosen != nil && chosen(name) != f.Type {
				continue
			}
			if slices.Contains(options, "string") && !takesString(base) {
				err = fmt.Errorf("%s: the option \"string\" is for numbers", at)
			} else {
				err = c.check(f.Type, at)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}
