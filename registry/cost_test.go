package registry_test

import (
	"fmt"
	"testing"

	"github.com/machreg/machreg/internal/vfs"
	"github.com/machreg/machreg/internal/vfs/errorfs"
	"github.com/machreg/machreg/registry"
)

func TestReadsAllocateNothing(t *testing.T) {
	disk := errorfs.Wrap(vfs.OS)
	r := open(t, newPath(t), &registry.Options{Refresh: registry.RefreshNever, FS: disk})
	add(t, r, "m-0", "m-1")
	if _, err := r.Update(t.Context(), func(tx *tx) error {
		for i := range 300 {
			name := fmt.Sprintf("m-%d", i)
			if err := tx.Put(name, machineOf(name)); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	registry.AwaitRetired(r.Registry)
	disk.Record()
	want := machineOf("m-123")
	for name, read := range map[string]func() bool{
		"MachineRegistry.Get": func() bool { m, err := r.Get("m-123"); return err == nil && m == want },
		"Registry.Get":        func() bool { m, err := r.Registry.Get("m-123"); return err == nil && m == want },
		"Snapshot.Get":        func() bool { m, ok := r.Snapshot().Get("m-123"); return ok && m == want },
		"Len":                 func() bool { return r.Len() == 301 },
		"Revision":            func() bool { return r.Revision() == 3 },
	} {
		right := true
		if n := testing.AllocsPerRun(1000, func() { right = right && read() }); n != 0 {
			t.Errorf("%s allocates %v times", name, n)
		}
		if !right {
			t.Errorf("%s gives something else", name)
		}
	}
	if ops := disk.Trace(); len(ops) != 0 {
		t.Errorf("reads reached the disk: %v", ops)
	}
}

func BenchmarkGet(b *testing.B) {
	r := open(b, newPath(b), &registry.Options{Sync: registry.SyncNone})
	names := make([]string, 256)
	for i := range names {
		names[i] = fmt.Sprintf("m-%d", i)
	}
	add(b, r, names...)
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			if _, err := r.Get(names[i%len(names)]); err != nil {
				b.Error(err)
			}
		}
	})
}
