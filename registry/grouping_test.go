package registry_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/machreg/machreg/internal/vfs"
	"github.com/machreg/machreg/internal/vfs/errorfs"
	"github.com/machreg/machreg/registry"
)

// renames counts the file updates of a disk as the disk sees them.
func renames(disk *errorfs.FS) *atomic.Int64 {
	n := new(atomic.Int64)
	disk.Before(func(op errorfs.Op) {
		if op.Kind == errorfs.Rename {
			n.Add(1)
		}
	})
	return n
}

// addFromMany adds machines from many goroutines and returns when all are
// acknowledged.
func addFromMany(t testing.TB, r *registry.MachineRegistry, goroutines, adds int) {
	var wg sync.WaitGroup
	for g := range goroutines {
		wg.Go(func() {
			for i := range adds {
				if _, err := r.Add(t.Context(), machineOf(fmt.Sprintf("m-%d-%d", g, i))); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}

func TestGroupingUnderLoad(t *testing.T) {
	const goroutines, wantAverage = 64, 8
	adds := long(25)
	disk := errorfs.Wrap(vfs.OS)
	updates := renames(disk)
	path := newPath(t)
	r := open(t, path, &registry.Options{FS: disk})
	addFromMany(t, r, goroutines, adds)
	s := r.Stats()
	total := goroutines * adds
	t.Logf("%d adds in %d file updates, %.1f each; largest group %d", total, s.Commits, float64(total)/float64(s.Commits), s.LargestGroup)
	if int64(s.Commits) != updates.Load() {
		t.Errorf("stats count %d commits, the disk saw %d", s.Commits, updates.Load())
	}
	if s.Writes != uint64(total) || s.Refused+s.Failed+s.Unchanged != 0 {
		t.Errorf("stats count %d writes, %d refused, %d failed, %d unchanged, want %d writes", s.Writes, s.Refused, s.Failed, s.Unchanged, total)
	}
	if total < wantAverage*int(updates.Load()) {
		t.Errorf("%d adds took %d file updates, want at most one for %d", total, updates.Load(), wantAverage)
	}
	if err := mustParse(t, path).addsOnly(); err != nil {
		t.Error(err)
	}
}

// BenchmarkGroupedAdds is 64 goroutines adding, with group commit and without.
// The metric of the second sub-benchmark is what the first one gains.
func BenchmarkGroupedAdds(b *testing.B) {
	const goroutines = 64
	var grouped float64 // adds a second
	for _, c := range []struct {
		name  string
		limit int
	}{{"grouped", 0}, {"alone", 1}} {
		b.Run(c.name, func(b *testing.B) {
			r := open(b, newPath(b), &registry.Options{GroupLimit: c.limit})
			var next atomic.Int64
			var wg sync.WaitGroup
			b.ResetTimer()
			for range goroutines {
				wg.Go(func() {
					for i := next.Add(1); i <= int64(b.N); i = next.Add(1) {
						// Of a bounded registry, so that only the writing differs.
						name := fmt.Sprintf("m-%d", i%200)
						if _, err := r.Add(b.Context(), generation(name, int(i))); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			b.StopTimer()
			rate := float64(b.N) / b.Elapsed().Seconds()
			b.ReportMetric(rate, "adds/s")
			b.ReportMetric(float64(b.N)/float64(r.Stats().Commits), "adds/update")
			if c.limit == 0 {
				grouped = rate
			} else if grouped > 0 {
				b.ReportMetric(grouped/rate, "gain")
			}
		})
	}
}
