package faults_test

import (
	"testing"

	"github.com/machreg/machreg/internal/vfs/crashfs"
)

// TestClockSetBack runs every scenario on a file system whose clock only ever
// goes back, stands still, or jumps: versions of the file must still be told
// apart, and be ordered by their times.
func TestClockSetBack(t *testing.T) {
	const now, hour = 1_700_000_000_000_000_000, 3_600_000_000_000
	clocks := map[string]func(tick int64) int64{
		"back":       func(tick int64) int64 { return now - tick*hour },
		"still":      func(int64) int64 { return now },
		"to and fro": func(tick int64) int64 { return now + (tick%2)*hour - tick },
		"to 1970":    func(tick int64) int64 { return max(now-tick*now/20, 0) },
	}
	for name, clock := range clocks {
		t.Run(name, func(t *testing.T) {
			for _, s := range scenarios {
				err := inDirectory(func(dir string) {
					var tick int64
					w := newWorld(dir, &crashfs.Options{Now: func() int64 {
						tick++
						return clock(tick)
					}})
					if s.prepare != nil {
						s.prepare(w)
					}
					s.run(w)
					h := w.open()
					var last int64
					for _, name := range []string{"t0", "t1", "t2", "t3"} {
						h.add(name)
						info, err := w.disk.Stat(registryPath)
						if err != nil || info.ModTime <= last && last != 0 {
							t.Errorf("%s: a version of time %d follows one of %d, %v", s.name, info.ModTime, last, err)
						}
						last = info.ModTime
					}
					w.settle()
					for _, p := range w.problems {
						t.Errorf("%s: %s", s.name, p)
					}
				})
				if err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}
