//go:build linux || darwin || freebsd

package page_test

import (
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/machreg/machreg/internal/page"
)

// A guarded access leaves the goroutine's own setting as it was, whether it
// faults or not.
func TestGuardKeepsPanicOnFault(t *testing.T) {
	path := newPage(t)
	m := newProcess(t, path).Mapping()
	for _, truncated := range []bool{false, true} {
		if truncated {
			must(t, os.Truncate(path, 0))
		}
		for _, want := range []bool{false, true} {
			old := debug.SetPanicOnFault(want)
			m.Sequence()
			if got := debug.SetPanicOnFault(old); got != want {
				t.Errorf("truncated = %v: panic on fault is %v after a load, want %v", truncated, got, want)
			}
		}
	}
	if s := m.Sequence(); s%2 == 0 {
		t.Errorf("Sequence() = %d on a truncated page, want odd", s)
	}
}

// A fault loses the page also where the system does not say at which address.
func TestFaultWithoutAddress(t *testing.T) {
	p := newProcess(t, newPage(t))
	m := p.Mapping()
	page.FaultWithoutAddress(m)
	if s := m.Sequence(); s%2 == 0 {
		t.Errorf("Sequence() = %d after a fault, want odd", s)
	}
	if s := m.Sequence(); s != 1 {
		t.Errorf("Sequence() = %d on a lost page, want 1", s)
	}
}

func TestSequenceDoesNotAllocate(t *testing.T) {
	m := newProcess(t, newPage(t)).Mapping()
	if n := testing.AllocsPerRun(1000, func() { m.Sequence() }); n != 0 {
		t.Errorf("Sequence allocates %v times, want 0", n)
	}
}

// BenchmarkSequence is what Latest adds to a plain read.
func BenchmarkSequence(b *testing.B) {
	m := newProcess(b, newPage(b)).Mapping()
	b.ReportAllocs()
	for b.Loop() {
		m.Sequence()
	}
}

// The page is truncated and made whole again while it is accessed without
// pause. An access succeeds or does not; the process lives on in either case,
// under the race detector too.
func TestTruncatedInMidAccess(t *testing.T) {
	path := newPage(t)
	whole, err := os.ReadFile(path)
	must(t, err)
	var wg sync.WaitGroup
	var end atomic.Bool
	var lost atomic.Int64
	for range 2 {
		wg.Go(func() {
			for !end.Load() {
				p := newProcess(t, path)
				m := p.Mapping()
				if m == nil {
					continue // it is truncated now
				}
				for range 100 {
					p.Record()
					p.End(page.Published)
				}
				if _, err := p.State(); err != nil {
					lost.Add(1)
				}
			}
		})
	}
	for n := 0; n < 500 || lost.Load() == 0 && n < 1_000_000; n++ {
		must(t, os.Truncate(path, 0))
		must(t, os.WriteFile(path, whole, 0))
	}
	end.Store(true)
	wg.Wait()
	if lost.Load() == 0 {
		t.Error("no access met a truncated page")
	}
}
