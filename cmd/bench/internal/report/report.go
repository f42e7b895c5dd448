// Package report holds the results of a run: rows, their table, their JSON,
// and the comparison with what machreg set out to reach.
package report

import (
	"encoding/json"
	"io"
	"math"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"github.com/machreg/machreg/cmd/bench/internal/lap"
)

// Shape is under which circumstances something was measured; a zero member
// does not apply.
type Shape struct {
	Measure    string  `json:"measure"`
	Size       int     `json:"size,omitempty"`
	Processes  int     `json:"processes,omitempty"`
	Goroutines int     `json:"goroutines,omitempty"`
	Reads      float64 `json:"read_percent,omitempty"`
}

// Row is what one store cost in one shape.
type Row struct {
	Shape
	Store string `json:"store"`
	// Unit is of Cost: "ns", an operation, or "B", a machine. Lower is better.
	Unit string  `json:"unit"`
	Cost float64 `json:"cost"`
	Laps int     `json:"laps"`
	// Low and High are the quartiles of the laps.
	Low  float64 `json:"low"`
	High float64 `json:"high"`
	// OverFloor is the cost in floors, TimesBaseline how many times the
	// baseline's speed; each the median of the ratios within one round, and 0
	// if there is nothing to compare with.
	OverFloor     float64 `json:"over_floor,omitempty"`
	TimesBaseline float64 `json:"times_baseline,omitempty"`
	// Over is the cost relative to other stores of the same rounds, by name.
	Over map[string]float64 `json:"over,omitempty"`
	// Details are further figures, named with their unit.
	Details map[string]float64 `json:"details,omitempty"`
}

// Machine is where a run took place.
type Machine struct {
	OS         string `json:"os"`
	Arch       string `json:"arch"`
	CPUs       int    `json:"cpus"`
	GoVersion  string `json:"go_version"`
	FileSystem string `json:"file_system,omitempty"`
}

// Report is one run.
type Report struct {
	Command string            `json:"command"`
	Started time.Time         `json:"started"`
	Seconds float64           `json:"seconds"`
	Machine Machine           `json:"machine"`
	Stores  map[string]string `json:"stores"` // notes by name
	Modules map[string]string `json:"modules"`
	Rows    []Row             `json:"rows"`
	Targets []Outcome         `json:"targets,omitempty"`
}

// New begins a report of a command.
func New(args []string) *Report {
	r := &Report{
		Command: strings.Join(append([]string{"go run ."}, args...), " "),
		Started: time.Now(),
		Machine: Machine{OS: runtime.GOOS, Arch: runtime.GOARCH, CPUs: runtime.NumCPU(), GoVersion: runtime.Version()},
		Modules: make(map[string]string),
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, m := range info.Deps {
			r.Modules[m.Path] = m.Version
		}
	}
	return r
}

// Add turns the series of one race into rows, in the order of stores. The
// stores to compare with are found by these names.
func (r *Report) Add(shape Shape, unit string, stores []string, series map[string]lap.Series, floor, baseline string) []*Row {
	first := len(r.Rows)
	for _, store := range stores {
		s, ok := series[store]
		if !ok {
			continue
		}
		row := Row{
			Shape: shape, Store: store, Unit: unit,
			Laps: len(s), Cost: s.Median(), Low: lap.Quantile(s, 0.25), High: lap.Quantile(s, 0.75),
			Over: make(map[string]float64),
		}
		for other, base := range series {
			if other != store {
				row.Over[other] = finite(s.Over(base))
			}
		}
		if b, ok := series[floor]; ok && store != floor {
			row.OverFloor = finite(s.Over(b))
		}
		if b, ok := series[baseline]; ok && store != baseline {
			row.TimesBaseline = finite(b.Over(s))
		}
		r.Rows = append(r.Rows, row)
	}
	var added []*Row
	for i := first; i < len(r.Rows); i++ {
		added = append(added, &r.Rows[i])
	}
	return added
}

// finite is x, or 0 where JSON has no word for it.
func finite(x float64) float64 {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return 0
	}
	return x
}

// Detail adds a further figure to a row.
func (row *Row) Detail(name string, value float64) {
	if row.Details == nil {
		row.Details = make(map[string]float64)
	}
	row.Details[name] = finite(value)
}

// Find returns the row of a store in a shape, or nil.
func (r *Report) Find(shape Shape, store string) *Row {
	for i := range r.Rows {
		if r.Rows[i].Shape == shape && r.Rows[i].Store == store {
			return &r.Rows[i]
		}
	}
	return nil
}

// WriteJSON writes the whole report.
func (r *Report) WriteJSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", " ")
	return enc.Encode(r)
}
