package snapshot_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/machreg/machreg/snapshot"
)

// Types whose methods do not take every value.
type (
	kind   string // refuses to write its zero value
	strict int    // refuses to read null
	brute  int    // panics at a null and at its zero value
	once   struct{ n int }
)

func (k kind) MarshalText() ([]byte, error) {
	if k == "" {
		return nil, errors.New("no kind")
	}
	return []byte(k), nil
}
func (k *kind) UnmarshalText(b []byte) error { *k = kind(b); return nil }

func (s *strict) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		return errors.New("null")
	}
	return json.Unmarshal(b, (*int)(s))
}

func (b brute) MarshalJSON() ([]byte, error) {
	if b == 0 {
		panic("zero")
	}
	return json.Marshal(int(b))
}
func (b *brute) UnmarshalJSON(text []byte) error {
	if string(text) == "null" {
		panic("null")
	}
	return json.Unmarshal(text, (*int)(b))
}
func (b brute) IsZero() bool {
	if b == 0 {
		panic("zero")
	}
	return false
}

func (o once) MarshalJSON() ([]byte, error)     { return json.Marshal(o.n) }
func (o *once) UnmarshalJSON(text []byte) error { return json.Unmarshal(text, &o.n) }

type (
	enumerated struct {
		Kind kind   `json:"kind"`
		Host string `json:"host"`
	}
	base struct {
		Kind kind `json:"kind"`
		C    int  `json:"c"`
	}
	Exported   struct{ Done chan int }
	embedsKind struct {
		base
		Host string `json:"host"`
	}
	embedsPointer struct {
		*Plain
		Host string `json:"host"`
	}
	Plain struct {
		Port int `json:"port,string"`
	}
	hides struct { // Exported's Done stands for nothing
		Exported
		Done string
	}
	generic[T any] struct {
		Item  T   `json:"item"`
		Items []T `json:"items,omitempty"`
	}
	tree struct {
		Name     string           `json:"name"`
		Children []*tree          `json:"children,omitempty"`
		ByName   map[string]*tree `json:"by_name,omitempty"`
		*branch
	}
	branch       struct{ Trunk *tree }
	strictKeeper struct {
		A    int               `json:"a"`
		More map[string]strict `json:",embed"`
	}
	oneWay     struct{ Out chan int }
	pointerTo  *Plain
	halfHidden struct {
		Exported
		Done string
	}
	loop struct {
		Name string
		Next *loop
		Done []map[string][2]*chan bool
	}
)

func (oneWay) MarshalJSON() ([]byte, error)         { return []byte(`1`), nil }
func (*halfHidden) UnmarshalJSON(text []byte) error { return nil }

// kept has a value put over an entry with members that V does not know.
func kept[V any](t *testing.T, found string, v V) {
	t.Helper()
	t.Run(fmt.Sprintf("%T", v), func(t *testing.T) {
		c := codec(t, snapshot.Schema[V]{Collection: "m"})
		const owner = `"owner" : ["x",  null]`
		text := strings.TrimSuffix(found, "}") + "," + owner + "}"
		if found == "{}" {
			text = "{" + owner + "}"
		}
		data := `{"version":1,"m":{"e":` + text + `}}`
		snap := decode(t, c, []byte(data), nil).Snapshot
		if q := snap.Quarantine(); len(q) > 0 {
			t.Fatalf("quarantine: %v", q)
		}
		for step := range 3 {
			edit := snap.Edit()
			edit.Apply(put(t, c, "e", v))
			if got := edit.Snapshot().Line("e"); strings.Count(got, owner) != 1 || !json.Valid([]byte("{"+got+"}")) {
				t.Errorf("rewrite %d: %+v over %s is written as %s", step, v, text, got)
			}
			edit.Apply(snapshot.Write[V]{Remove: []string{"other"}})
			snap = decode(t, c, encode(t, edit.Snapshot()), nil).Snapshot
			if got, ok := snap.Get("e"); !ok || !reflect.DeepEqual(got, v) {
				t.Errorf("rewrite %d: put %+v, got %+v, %t", step, v, got, ok)
			}
		}
	})
}

func TestUnknownMembersAreKept(t *testing.T) {
	kept(t, `{"kind":"x","host":"old"}`, enumerated{"y", "new"})
	kept(t, `{}`, embedsKind{base{Kind: "y"}, "new"})
	kept(t, `{"kind":"x"}`, &enumerated{"y", "new"})
	kept(t, `{}`, &Plain{1})
	kept(t, `{"port":"7"}`, embedsPointer{&Plain{1}, "h"})
	kept(t, `{}`, embedsPointer{Host: "h"})
	kept(t, `{"Done":"x"}`, hides{Done: "y"})
	kept(t, `{"s":1}`, struct {
		S strict `json:"s"`
	}{2})
	kept(t, `{"b":1}`, struct {
		B brute `json:"b"`
	}{2})
	kept(t, `{"b":1}`, struct {
		B brute `json:"b,omitzero"`
	}{2})
	kept(t, `{"b":1,"k":{"x":[1]}}`, &struct {
		B *brute           `json:"b"`
		K map[kind][]brute `json:"k"`
	}{new(brute(3)), map[kind][]brute{"a": {1}}})
	kept(t, `{"o":1}`, struct {
		O once `json:"o"`
	}{once{2}})
	kept(t, `{"item":"x"}`, generic[kind]{Item: "y"})
	kept(t, `{"item":{"item":1}}`, generic[generic[brute]]{Item: generic[brute]{Item: 4}})
	kept(t, `{"name":"x","children":[{"name":"y"}]}`, tree{Name: "z", Children: []*tree{{Name: "leaf"}}})
	kept(t, `{"any":[1]}`, struct {
		Any any              `json:"any"`
		Str fmt.Stringer     `json:"str"`
		Raw jsontext.Value   `json:"raw,omitzero"`
		At  time.Time        `json:"at"`
		Bin []byte           `json:"bin"`
		Mu  sync.Mutex       `json:"-"`
		F   func()           `json:"-"`
		Num map[int8]float64 `json:"num"`
		ch  chan int
	}{Any: "x", Bin: []byte{1}, Num: map[int8]float64{1: 2}})
	kept(t, `{}`, struct{}{})
	kept(t, `{"a":1}`, struct {
		A string `json:"aa"`
		B string `json:"bb,case:ignore,omitempty"`
	}{A: "x"})
}

// A V that has a field for unknown members gets them all, whatever the field
// thinks of null.
func TestOwnUnknownMembers(t *testing.T) {
	c := codec(t, snapshot.Schema[strictKeeper]{Collection: "m"})
	snap := decode(t, c, []byte(`{"version":1,"m":{"e":{"a":1,"owner":2}}}`), nil).Snapshot
	v, _ := snap.Get("e")
	if v.A++; v.More["owner"] != 2 {
		t.Errorf("Get = %+v, want owner 2 in More", v)
	}
	edit := snap.Edit()
	edit.Apply(put(t, c, "e", v))
	if got, want := edit.Snapshot().Line("e"), `"e": {"a":2,"owner":2}`; got != want {
		t.Errorf("line %s, want %s", got, want)
	}
}

// refused has a schema refused, with an error that names the place.
func refused[V any](t *testing.T, want string) {
	t.Helper()
	_, err := snapshot.NewCodec(snapshot.Schema[V]{Collection: "m"})
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("NewCodec of %v: error %v, want one with %q", reflect.TypeFor[V](), err, want)
	}
}

func TestNewCodecRefusesValueTypes(t *testing.T) {
	refused[chan int](t, "chan int: JSON has no form for chan int")
	refused[func()](t, "JSON has no form for func()")
	refused[unsafe.Pointer](t, "JSON has no form for unsafe.Pointer")
	refused[Exported](t, "snapshot_test.Exported.Done: JSON has no form for chan int")
	refused[*Exported](t, "snapshot_test.Exported.Done: JSON")
	refused[embedsBad](t, "embedsBad.Exported.Done: JSON")
	refused[loop](t, "loop.Done[][][]: JSON has no form for chan bool")
	refused[generic[complex64]](t, "].Item: JSON has no form for complex64")
	refused[map[string]generic[Exported]](t, "[].Item.Done: JSON")
	refused[oneWay](t, "oneWay.Out: JSON")
	refused[halfHidden](t, "halfHidden.Exported.Done: JSON")
	refused[struct{ D time.Duration }](t, ".D: JSON has no form for time.Duration")
	refused[struct{ M map[bool]int }](t, ".M: JSON has no form for a key that is bool")
	refused[struct{ M map[Plain]int }](t, ".M: JSON has no form for a key that is snapshot_test.Plain")
	refused[struct{ Mu sync.Mutex }](t, ".Mu: Go struct has no exported fields")
	refused[struct {
		A string `json:"a,string"`
	}](t, `.A: the option "string" is for numbers`)
	refused[struct {
		//lint:ignore SA5008 it is to be refused
		A int `json:"a,omitEmpty"`
	}](t, "V: Go struct field A has invalid appearance")
	refused[struct {
		In struct {
			A time.Time `json:"a,format:unix"`
		}
	}](t, ".In: Go struct field A has unsupported `format` tag option")
	refused[struct {
		More map[string]chan int `json:",embed"`
	}](t, ".More[]: JSON")
	refused[struct{ hidden int }](t, "Go struct has no exported fields")
	refused[pointerTo](t, "members that it does not know could not be kept")
	refused[**Plain](t, "members that it does not know could not be kept")
}

type embedsBad struct {
	Name string
	*Exported
}

// A nil pointer has no members, so there is nothing to keep others beside.
func TestNilOverUnknownMembers(t *testing.T) {
	c := codec(t, snapshot.Schema[*Plain]{Collection: "m"})
	snap := decode(t, c, []byte(`{"version":1,"m":{"e":{"port":"1","owner":2}}}`), nil).Snapshot
	edit := snap.Edit()
	edit.Apply(put(t, c, "e", (*Plain)(nil)))
	if got, want := edit.Snapshot().Line("e"), `"e": null`; got != want {
		t.Errorf("line %s, want %s", got, want)
	}
}

// What is said of a type must be what the encoder and the decoder do with a
// value that has something in every place.
func TestValueTypesAgainstEncoder(t *testing.T) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 0))
	accepted, refused := 0, 0
	for range 1000 {
		typ := randomType(r, 3)
		v := reflect.New(typ)
		fill(v.Elem())
		text, err := jsonv2.Marshal(v.Interface())
		if err == nil {
			err = jsonv2.Unmarshal(text, reflect.New(typ).Interface())
		}
		cerr := snapshot.CheckType(typ)
		if (err == nil) != (cerr == nil) {
			t.Fatalf("seed %d: %v\nis said to be: %v\nJSON: %v", seed, typ, cerr, err)
		}
		if cerr == nil {
			accepted++
		} else {
			refused++
		}
	}
	if accepted < 100 || refused < 100 {
		t.Errorf("seed %d: %d types accepted, %d refused: the test sees too little", seed, accepted, refused)
	}
}

var leaves = []reflect.Type{
	reflect.TypeFor[string](), reflect.TypeFor[int](), reflect.TypeFor[bool](), reflect.TypeFor[float32](),
	reflect.TypeFor[kind](), reflect.TypeFor[once](), reflect.TypeFor[time.Time](), reflect.TypeFor[Plain](),
	reflect.TypeFor[[]byte](), reflect.TypeFor[uint16](), reflect.TypeFor[[4]byte](),
	reflect.TypeFor[string](), reflect.TypeFor[int](), reflect.TypeFor[enumerated](), reflect.TypeFor[hides](),
	reflect.TypeFor[chan int](), reflect.TypeFor[time.Duration](), reflect.TypeFor[complex128](), reflect.TypeFor[func()](),
}

func randomType(r *rand.Rand, depth int) reflect.Type {
	leaf := leaves[r.IntN(len(leaves))]
	if depth == 0 {
		return leaf
	}
	switch r.IntN(8) {
	case 0:
		return reflect.PointerTo(randomType(r, depth-1))
	case 1:
		return reflect.SliceOf(randomType(r, depth-1))
	case 2:
		return reflect.ArrayOf(2, randomType(r, depth-1))
	case 3:
		// How a key with methods is written is taken on trust.
		if leaf.Comparable() && leaf != reflect.TypeFor[once]() {
			return reflect.MapOf(leaf, randomType(r, depth-1))
		}
	case 4, 5, 6:
		tags := []string{"", "", `json:"a"`, `json:"b,omitzero"`, `json:"b,omitempty"`, `json:"-"`, `json:"c,string"`, `json:",embed"`, `json:"case"`}
		var fields []reflect.StructField
		for i := range 1 + r.IntN(4) {
			fields = append(fields, reflect.StructField{
				Name: fmt.Sprintf("F%d", i),
				Type: randomType(r, depth-1),
				Tag:  reflect.StructTag(tags[r.IntN(len(tags))]),
			})
		}
		return reflect.StructOf(fields)
	}
	return leaf
}

// fill puts something everywhere, so that nothing is left out when v is
// written.
func fill(v reflect.Value) {
	switch v.Addr().Interface().(type) {
	case *once:
		v.Set(reflect.ValueOf(once{1}))
		return
	case *time.Time:
		v.Set(reflect.ValueOf(time.Unix(1, 0)))
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem())
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0))
	case reflect.Array:
		for i := range v.Len() {
			fill(v.Index(i))
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		fill(key)
		fill(value)
		v.SetMapIndex(key, value)
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Field(i).CanSet() {
				fill(v.Field(i))
			}
		}
	case reflect.Chan:
		v.Set(reflect.MakeChan(v.Type(), 0))
	case reflect.Func:
		v.Set(reflect.ValueOf(func() {}))
	case reflect.Complex128:
		v.SetComplex(1)
	case reflect.String:
		v.SetString("x")
	case reflect.Bool:
		v.SetBool(true)
	default:
		switch {
		case v.CanInt():
			v.SetInt(1)
		case v.CanUint():
			v.SetUint(1)
		case v.CanFloat():
			v.SetFloat(1)
		}
	}
}
