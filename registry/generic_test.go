package registry_test

import (
	"encoding/json"
	"errors"
	"maps"
	"reflect"
	"slices"
	"testing"

	"github.com/machreg/machreg/registry"
)

// tenant is a value with everything that an assignment does not copy.
type tenant struct {
	Plan   string            `json:"plan"`
	Quota  map[string]int    `json:"quota"`
	Admins []string          `json:"admins"`
	Parent *tenant           `json:"parent,omitempty"`
	Extra  map[string][]byte `json:"extra,omitempty"`
}

func newTenant(plan string) tenant {
	return tenant{
		Plan: plan, Quota: map[string]int{"cpu": 4, plan: 1}, Admins: []string{"ada", plan},
		Parent: &tenant{Plan: "parent of " + plan, Quota: map[string]int{}, Admins: []string{}},
		Extra:  map[string][]byte{"k": []byte(plan)},
	}
}

// spoil writes to everything that v refers to.
func (v tenant) spoil() {
	v.Quota["cpu"], v.Quota["spoilt"] = -1, 1
	v.Admins[0] = "mallory"
	v.Parent.Plan = "spoilt"
	v.Extra["k"][0] = 'X'
}

func cloneTenant(v tenant) tenant {
	v.Quota, v.Admins, v.Extra = maps.Clone(v.Quota), slices.Clone(v.Admins), maps.Clone(v.Extra)
	for k, b := range v.Extra {
		v.Extra[k] = slices.Clone(b)
	}
	if v.Parent != nil {
		p := cloneTenant(*v.Parent)
		v.Parent = &p
	}
	return v
}

// Nobody reaches into what others see, by whatever way a value went in or came
// out.
func TestValuesAreNotShared(t *testing.T) {
	for name, clone := range map[string]func(tenant) tenant{"decoded anew": nil, "cloned": cloneTenant} {
		t.Run(name, func(t *testing.T) {
			path := newPath(t)
			schema := registry.Schema[tenant]{Collection: "tenants", Clone: clone}
			r, err := registry.Open(path, schema, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			want := newTenant("gold")
			in := newTenant("gold")
			if _, err := r.Put(t.Context(), "a", in); err != nil {
				t.Fatal(err)
			}
			in.spoil()
			check := func(how string, got tenant, err error) {
				t.Helper()
				if err != nil || !reflect.DeepEqual(got, want) {
					t.Fatalf("%s: %+v, %v, want %+v", how, got, err, want)
				}
				got.spoil()
			}
			twice := func(how string, read func() (tenant, error)) {
				t.Helper()
				for range 2 {
					v, err := read()
					check(how, v, err)
				}
			}
			found := errors.New("not there")
			twice("Get", func() (tenant, error) { return r.Get("a") })
			twice("All", func() (v tenant, err error) {
				for _, v = range r.All() {
					return v, nil
				}
				return v, found
			})
			twice("Tx.Get", func() (tenant, error) { return r.Begin().Get("a") })
			twice("conflict", func() (v tenant, err error) {
				_, err = r.Put(t.Context(), "a", tenant{}, registry.IfAbsent())
				var c *registry.ConflictError[tenant]
				if !errors.As(err, &c) {
					return v, err
				}
				return c.Value, nil
			})
			twice("first change of a watch", func() (v tenant, err error) {
				for c, err := range r.Watch(t.Context(), registry.WithInitial()) {
					return c.Added[0].Value, err
				}
				return v, found
			})

			// Through a transaction.
			own := r.Begin()
			b := newTenant("gold")
			if err := own.Put("b", b); err != nil {
				t.Fatal(err)
			}
			b.spoil()
			twice("Tx.Get of its own", func() (tenant, error) { return own.Get("b") })
			if _, err := own.Commit(t.Context()); err != nil {
				t.Fatal(err)
			}
			twice("Get after Commit", func() (tenant, error) { return r.Get("b") })
			fresh, err := registry.Open(path, schema, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer fresh.Close()
			twice("Get of a fresh handle", func() (tenant, error) { return fresh.Get("b") })
		})
	}
}

// Values of other shapes than a struct of strings.
func TestOtherValueTypes(t *testing.T) {
	t.Run("string", func(t *testing.T) { roundTrip(t, "hello", "wörld \"x\"") })
	t.Run("number", func(t *testing.T) { roundTrip(t, 1.5, -2) })
	t.Run("boolean", func(t *testing.T) { roundTrip(t, true, false) })
	t.Run("slice", func(t *testing.T) { roundTrip(t, []int{1, 2}, []int{}) })
	t.Run("map", func(t *testing.T) { roundTrip(t, map[string]bool{"a": true}, map[string]bool{}) })
	t.Run("raw JSON", func(t *testing.T) {
		roundTrip(t, json.RawMessage(`{"b":1,"a":[2]}`), json.RawMessage(`null`))
	})
	t.Run("struct", func(t *testing.T) {
		roundTrip(t, counter{1, "a"}, counter{2, "b"})
	})
	t.Run("array of structs", func(t *testing.T) {
		roundTrip(t, [2]counter{{1, "a"}, {2, "b"}}, [2]counter{})
	})
}

func roundTrip[V any](t *testing.T, a, b V) {
	t.Helper()
	path := newPath(t)
	schema := registry.Schema[V]{Collection: "values"}
	r, err := registry.Open(path, schema, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for name, v := range map[string]V{"a": a, "b": b} {
		if _, err := r.Put(t.Context(), name, v); err != nil {
			t.Fatal(err)
		}
	}
	fresh, err := registry.Open(path, schema, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer fresh.Close()
	for _, r := range []*registry.Registry[V]{r, fresh} {
		for name, want := range map[string]V{"a": a, "b": b} {
			if got, err := r.Get(name); err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("Get(%q) = %v, %v, want %v", name, got, err, want)
			}
		}
	}
	if rev, err := fresh.Put(t.Context(), "a", a); err != nil || rev != 2 {
		t.Errorf("the same value again is revision %d, %v, want 2", rev, err)
	}
}

func TestSchemaMistakes(t *testing.T) {
	path := newPath(t)
	for name, collection := range map[string]string{"empty": "", "reserved": "revision", "control character": "a\n"} {
		if _, err := registry.Open(path, registry.Schema[counter]{Collection: collection}, nil); !errors.Is(err, registry.ErrInvalid) {
			t.Errorf("Open with an %s collection = %v, want ErrInvalid", name, err)
		}
	}
	r, err := registry.Open(path, counters(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := r.Put(t.Context(), "below", counter{N: -1}); !errors.Is(err, registry.ErrInvalid) {
		t.Errorf("Put of what Check refuses = %v, want ErrInvalid", err)
	}
}
