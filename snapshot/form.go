package snapshot

import (
	"reflect"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
)

// form is how a struct of nothing but strings is written: the text between the
// strings. Reading a value by its form takes a tenth of the time that the JSON
// decoder takes, and the strings need no memory of their own. A value written
// in any other way, or with an escape in a string, is left to the decoder.
type form struct {
	parts  []string // before the first string, between them, after the last
	fields []int    // of the struct, in the order of the strings
}

// learnForm finds out how V is written by writing one; nil if that is not
// simple.
func learnForm[V any]() *form {
	var v V
	fields := reflect.ValueOf(&v).Elem()
	if fields.NumField() == 0 {
		return nil
	}
	marker := func(i int) string { return "‹" + strconv.Itoa(i) + "›" }
	for i := range fields.NumField() {
		if f := fields.Type().Field(i); f.Type != reflect.TypeFor[string]() || !f.IsExported() {
			return nil
		}
		fields.Field(i).SetString(marker(i))
	}
	text, err := json.Marshal(v)
	if err != nil {
		return nil
	}
	f := &form{}
	rest := string(text)
	for rest != "" {
		before, after, found := strings.Cut(rest, "‹")
		f.parts = append(f.parts, before)
		if !found {
			break
		}
		digits, after, _ := strings.Cut(after, "›")
		i, err := strconv.Atoi(digits)
		if err != nil || i >= fields.NumField() {
			return nil
		}
		f.fields, rest = append(f.fields, i), after
	}
	// The decoder must agree: with what was written, and on every field.
	var w carrier[V]
	var u V
	if len(f.fields) != fields.NumField() || len(f.parts) != len(f.fields)+1 ||
		json.Unmarshal(text, &w) != nil || len(w.Rest) > 0 || any(w.Value) != any(v) ||
		!f.read(reflect.ValueOf(&u).Elem(), string(text)) || any(u) != any(v) {
		return nil
	}
	return f
}

// read reports whether s has the form; then its strings are in v.
func (f *form) read(v reflect.Value, s string) bool {
	for i, field := range f.fields {
		var ok bool
		if s, ok = strings.CutPrefix(s, f.parts[i]); !ok {
			return false
		}
		n := plainText(s)
		if n < 0 {
			return false
		}
		v.Field(field).SetString(s[:n])
		s = s[n:]
	}
	return s == f.parts[len(f.fields)]
}

// plainText is how long the text is that s begins with and a quote ends, or -1
// if it is not written as it is meant.
func plainText(s string) int {
	ascii := true
	for i := range len(s) {
		switch b := s[i]; {
		case b == '"':
			if !ascii && !utf8.ValidString(s[:i]) {
				return -1
			}
			return i
		case b < 0x20, b == '\\':
			return -1
		case b >= utf8.RuneSelf:
			ascii = false
		}
	}
	return -1
}
