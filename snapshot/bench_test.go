package snapshot_test

import (
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/machreg/machreg/snapshot"
)

var sizes = []int{10, 1_000, 100_000}

// The floor of a lock-free read is a plain Go map behind an atomic pointer and
// a copy of the value.
func BenchmarkGet(b *testing.B) {
	c := machines(b)
	for _, n := range sizes {
		snap := fleet(b, c, n)
		names := make([]string, n)
		plain := make(map[string]*machine, n)
		for i := range n {
			m := realistic(i)
			names[i], plain[m.Name] = m.Name, &m
		}
		// A fixed stride visits every name without the processor guessing it.
		stride := n*5/8 | 1
		b.Run(fmt.Sprintf("n=%d/snapshot", n), func(b *testing.B) {
			b.ReportAllocs()
			var at atomic.Pointer[snapshot.Snapshot[machine]]
			at.Store(snap)
			for i := 0; b.Loop(); i = (i + stride) % n {
				if m, ok := at.Load().Get(names[i]); !ok || len(m.Type) != len("ssh") {
					b.Fatalf("Get(%q) = %v, %t", names[i], m, ok)
				}
			}
		})
		b.Run(fmt.Sprintf("n=%d/floor", n), func(b *testing.B) {
			b.ReportAllocs()
			var at atomic.Pointer[map[string]*machine]
			at.Store(&plain)
			for i := 0; b.Loop(); i = (i + stride) % n {
				p, ok := (*at.Load())[names[i]]
				if m := *p; !ok || len(m.Type) != len("ssh") {
					b.Fatalf("[%q] = %v, %t", names[i], m, ok)
				}
			}
		})
	}
}

func BenchmarkDecode(b *testing.B) {
	const n = 100_000
	c := machines(b)
	snap := fleet(b, c, n)
	data := encode(b, snap)
	m := realistic(n / 2)
	m.Host = "ci@elsewhere"
	edit := snap.Edit()
	edit.Apply(put(b, c, m.Name, m))
	changed := encode(b, edit.Snapshot())
	plain := make(map[string]machine, n)
	for name, m := range snap.All() {
		plain[name] = m
	}
	indented, err := json.MarshalIndent(map[string]any{"version": 1, "machines": plain}, "", "  ")
	if err != nil {
		b.Fatal(err)
	}

	run := func(name string, data []byte, prev *snapshot.Snapshot[machine], parsed int) {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				if d := decode(b, c, data, prev); d.Parsed != parsed {
					b.Fatalf("parsed %d, want %d", d.Parsed, parsed)
				}
			}
		})
	}
	run("fresh", data, nil, n+1)
	run("one-changed", changed, snap, 1)
	run("foreign-fresh", indented, nil, n+1)
	run("foreign-same", indented, snap, 0)
	b.Run("encoding-json", func(b *testing.B) {
		b.SetBytes(int64(len(data)))
		b.ReportAllocs()
		for b.Loop() {
			var f baselineFile
			if err := json.Unmarshal(data, &f); err != nil || len(f.Machines) != n+1 {
				b.Fatal(len(f.Machines), err)
			}
		}
	})
}

// A value that is more than strings is left to the JSON decoder.
func BenchmarkDecodeMixed(b *testing.B) {
	const n = 100_000
	type file struct {
		Machines map[string]mixed `json:"machines"`
	}
	c := mixedCodec(b)
	edit := c.Empty().Edit()
	for i := range n {
		m := realistic(i)
		edit.Apply(put(b, c, m.Name, mixed{S: m.Host, N: i, L: []string{m.Type, m.TownPath}}))
	}
	data := encode(b, edit.Snapshot())
	b.Run("fresh", func(b *testing.B) {
		b.SetBytes(int64(len(data)))
		b.ReportAllocs()
		for b.Loop() {
			decode(b, c, data, nil)
		}
	})
	b.Run("encoding-json", func(b *testing.B) {
		b.SetBytes(int64(len(data)))
		b.ReportAllocs()
		for b.Loop() {
			var f file
			if err := json.Unmarshal(data, &f); err != nil || len(f.Machines) != n+1 {
				b.Fatal(len(f.Machines), err)
			}
		}
	})
}

func BenchmarkEncode(b *testing.B) {
	const n = 100_000
	c := machines(b)
	snap := fleet(b, c, n)
	b.Run("snapshot", func(b *testing.B) {
		b.SetBytes(int64(len(encode(b, snap))))
		b.ReportAllocs()
		for b.Loop() {
			if err := snap.Encode(io.Discard); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("encoding-json", func(b *testing.B) {
		f := baselineFile{Version: 1, Machines: make(map[string]machine, n)}
		for name, m := range snap.All() {
			f.Machines[name] = m
		}
		b.ReportAllocs()
		for b.Loop() {
			if _, err := json.MarshalIndent(f, "", "  "); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// One write to a large registry, without its file.
func BenchmarkEditOne(b *testing.B) {
	c := machines(b)
	for _, n := range sizes {
		snap := fleet(b, c, n)
		b.Run(fmt.Sprintf("n=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				m := realistic(i % n)
				m.TownPath = fmt.Sprint("/srv/", i)
				edit := snap.Edit()
				if !edit.Apply(put(b, c, m.Name, m)) {
					b.Fatal("nothing changed")
				}
				snap = edit.Snapshot()
			}
		})
	}
}

// BenchmarkMemory reports how much a loaded registry keeps on the heap.
func BenchmarkMemory(b *testing.B) {
	const n = 100_000
	c := machines(b)
	data := encode(b, fleet(b, c, n))
	for b.Loop() {
		before := live()
		snap := decode(b, c, data, nil).Snapshot
		heap := float64(live() - before)
		b.ReportMetric(heap/float64(snap.Len()), "heap-B/entry")
		b.ReportMetric(heap/float64(len(data)), "heap/file")
		runtime.KeepAlive(snap)
	}
	runtime.KeepAlive(data)
}

func live() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
