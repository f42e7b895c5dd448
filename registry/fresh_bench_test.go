package registry_test

import (
	"fmt"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/machreg/machreg/registry"
)

// BenchmarkRead sets the costs of Get, and of Latest followed by a Get, beside
// the floor: an atomic pointer to a plain map, and a copy of the value.
func BenchmarkRead(b *testing.B) {
	for _, machines := range []int{10, 1_000, 100_000} {
		b.Run(fmt.Sprintf("machines=%d", machines), func(b *testing.B) {
			reg, names := benchRegistry(b, machines)
			floor := new(atomic.Pointer[map[string]registry.Machine])
			m := make(map[string]registry.Machine, machines)
			for name, v := range reg.All() {
				m[name] = v
			}
			floor.Store(&m)
			ctx := b.Context()
			reads := []struct {
				name string
				read func(name string) (registry.Machine, bool)
			}{
				{"floor", func(name string) (registry.Machine, bool) {
					v, ok := (*floor.Load())[name]
					return v, ok
				}},
				{"Get", func(name string) (registry.Machine, bool) {
					v, err := reg.Get(name)
					return v, err == nil
				}},
				{"Latest+Get", func(name string) (registry.Machine, bool) {
					snap, err := reg.Latest(ctx)
					if err != nil {
						return registry.Machine{}, false
					}
					return snap.Get(name)
				}},
			}
			for _, r := range reads {
				b.Run(r.name+"/serial", func(b *testing.B) {
					b.ReportAllocs()
					i := 0
					for b.Loop() {
						if v, ok := r.read(names[i]); !ok || v.Name != names[i] {
							b.Fatalf("read %q = %v, %v", names[i], v, ok)
						}
						if i++; i == len(names) {
							i = 0
						}
					}
				})
				b.Run(r.name+"/parallel", func(b *testing.B) {
					b.ReportAllocs()
					b.RunParallel(func(pb *testing.PB) {
						i := 0
						for pb.Next() {
							if v, ok := r.read(names[i]); !ok || v.Name != names[i] {
								b.Errorf("read %q = %v, %v", names[i], v, ok)
								return
							}
							if i++; i == len(names) {
								i = 0
							}
						}
					})
				})
			}
		})
	}
}

// benchRegistry has the machine local and as many others as asked for; the
// names are in no order that helps.
func benchRegistry(b *testing.B, machines int) (reg *registry.MachineRegistry, names []string) {
	b.Helper()
	reg, err := registry.OpenMachines(filepath.Join(b.TempDir(), "machines.json"), nil)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { reg.Close() })
	for i := range machines {
		names = append(names, fmt.Sprintf("build-%06d", i*7919%machines))
	}
	_, err = reg.Update(b.Context(), func(tx *registry.Tx[registry.Machine]) error {
		for i := range machines {
			name := fmt.Sprintf("build-%06d", i)
			if err := tx.Put(name, registry.Machine{Name: name, Type: registry.TypeSSH, Host: "ci@" + name}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	return reg, names
}
