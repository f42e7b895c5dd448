//go:build linux || darwin || freebsd

package page_test

import (
	"os"
	"runtime/debug"
	"testing"
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
