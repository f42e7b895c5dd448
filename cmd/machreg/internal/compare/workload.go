package compare

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Workload is what every contestant is given to do.
type Workload struct {
	Preset      string   `json:"preset"`
	Contestants []string `json:"contestants"`
	Processes   int      `json:"processes"`
	Goroutines  int      `json:"goroutines"` // in each process
	Machines    int      `json:"machines"`   // in the file at the start of a round
	ReadRatio   float64  `json:"read_ratio"` // of all operations
	// Duration is how long each contestant works, in all its rounds together.
	Duration Span   `json:"duration"`
	Rounds   int    `json:"rounds"`
	Seed     uint64 `json:"seed"`
	// Kill is the mean time between two workers being killed and started again;
	// 0 kills nobody.
	Kill Span `json:"kill,omitempty"`
	// Latest reads with the linearizable read where a contestant has one.
	Latest bool `json:"latest,omitempty"`
	// LockTimeout bounds each wait for the lock.
	LockTimeout Span `json:"lock_timeout"`
}

// Span is a duration that is written as in "1.5s".
type Span time.Duration

func (s Span) String() string { return time.Duration(s).String() }

// MarshalText implements encoding.TextMarshaler.
func (s Span) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *Span) UnmarshalText(text []byte) error {
	d, err := time.ParseDuration(string(text))
	*s = Span(d)
	return err
}

// Preset is a workload with a name.
type Preset struct {
	Name, About string
	Workload    Workload
}

// Presets are the named workloads; the first is the default.
var Presets = []Preset{
	{"read-heavy", "one write in 10,000 operations",
		Workload{Processes: 4, Goroutines: 2, Machines: 100, ReadRatio: 0.9999}},
	{"contended", "many writers at once: every other operation is a write",
		Workload{Processes: 4, Goroutines: 8, Machines: 128, ReadRatio: 0.5}},
	{"large", "10,000 machines, one write in 1,000 operations",
		Workload{Processes: 2, Goroutines: 2, Machines: 10_000, ReadRatio: 0.999}},
	{"crashy", "every other operation is a write, and processes are killed at random",
		Workload{Processes: 4, Goroutines: 4, Machines: 128, ReadRatio: 0.5, Kill: Span(250 * time.Millisecond)}},
}

// PresetNamed returns the workload of that name. Its contestants, duration,
// rounds and lock timeout are the defaults.
func PresetNamed(name string) (Workload, error) {
	var names []string
	for _, p := range Presets {
		if p.Name == name {
			w := p.Workload
			w.Preset = name
			w.Contestants = slices.Clone(defaultContestants)
			w.Duration, w.Rounds = Span(5*time.Second), 5
			w.LockTimeout = Span(30 * time.Second)
			return w, nil
		}
		names = append(names, p.Name)
	}
	return Workload{}, fmt.Errorf("preset %q: want %s", name, strings.Join(names, ", "))
}

// Check reports why the workload cannot be run.
func (w *Workload) Check() error {
	for _, n := range []struct {
		label           string
		got, low, limit int
	}{
		{"processes", w.Processes, 1, 256},
		{"goroutines", w.Goroutines, 1, 1024},
		{"machines", w.Machines, w.workers(), 1_000_000},
		{"rounds", w.Rounds, 1, 1000},
	} {
		if n.got < n.low || n.got > n.limit {
			return fmt.Errorf("%s %d: want %d to %d", n.label, n.got, n.low, n.limit)
		}
	}
	switch {
	case !(w.ReadRatio >= 0 && w.ReadRatio <= 1):
		return fmt.Errorf("read ratio %v: want 0 to 1", w.ReadRatio)
	case w.Duration <= 0 || w.window() < time.Millisecond:
		return fmt.Errorf("duration %v: want at least 1ms for each of the %d rounds", w.Duration, w.Rounds)
	case w.Kill < 0:
		return fmt.Errorf("time between kills %v: want 0 or more", w.Kill)
	case len(w.Contestants) == 0:
		return fmt.Errorf("no contestants: want some of %s", strings.Join(ContestantNames(), ", "))
	}
	for i, name := range w.Contestants {
		if _, err := contestantNamed(name); err != nil {
			return err
		}
		if slices.Contains(w.Contestants[:i], name) {
			return fmt.Errorf("contestant %q is named twice", name)
		}
	}
	return nil
}

// workers is the number of goroutines in all processes. Each has at least one
// machine that only it writes.
func (w *Workload) workers() int { return w.Processes * w.Goroutines }

// window is how long one round is.
func (w *Workload) window() time.Duration { return time.Duration(w.Duration) / time.Duration(w.Rounds) }

// owner is the goroutine, counted through all processes, that writes a key.
func (w *Workload) owner(key int) int { return key % w.workers() }

// process is the one that writes a key.
func (w *Workload) process(key int) int { return w.owner(key) / w.Goroutines }

// timedEvery says which reads are timed one by one: where reads are nearly all
// there is, asking for the time would take longer than the reads.
func (w *Workload) timedEvery() int {
	if w.ReadRatio >= 0.9 {
		return 64
	}
	return 1
}
