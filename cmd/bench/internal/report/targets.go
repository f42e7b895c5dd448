package report

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/machreg/machreg/cmd/bench/internal/peer"
)

// Outcome is one thing that machreg set out to reach, and what was measured.
type Outcome struct {
	What     string `json:"what"`
	Target   string `json:"target"`
	Measured string `json:"measured"`
	OK       bool   `json:"ok"`
}

// target is one line of the table. Each part of it is judged by itself.
type target struct {
	what  string
	want  string
	parts []part
}

// part is one figure: what it is called in the table, how to find it, and the
// bound, which is an upper one unless atLeast.
type part struct {
	label   string
	figure  func(*Report) (float64, bool)
	bound   float64
	atLeast bool
}

// over is the cost of machreg's store relative to another's, in one shape.
func over(shape Shape, store, other string) func(*Report) (float64, bool) {
	return func(r *Report) (float64, bool) {
		row := r.Find(shape, store)
		if row == nil {
			return 0, false
		}
		x, ok := row.Over[other]
		return x, ok
	}
}

// times is how many times as fast as another's it is.
func times(shape Shape, store, other string) func(*Report) (float64, bool) {
	return func(r *Report) (float64, bool) {
		row := r.Find(shape, other)
		if row == nil {
			return 0, false
		}
		x, ok := row.Over[store]
		return x, ok
	}
}

func detail(shape Shape, store, name string) func(*Report) (float64, bool) {
	return func(r *Report) (float64, bool) {
		row := r.Find(shape, store)
		if row == nil {
			return 0, false
		}
		x, ok := row.Details[name]
		return x, ok
	}
}

// Check compares what was measured with the targets, on a machine of that
// many cores.
func (r *Report) Check(cores int) []Outcome {
	const m, latest = peer.Machreg, peer.Machreg + " latest"
	get := func(g int) Shape { return Shape{Measure: "get", Size: 1000, Goroutines: g} }
	add := func(n int) Shape { return Shape{Measure: "add", Size: n, Processes: 1, Goroutines: 1} }
	shared := func(p, g int) Shape { return Shape{Measure: "shared", Size: 1000, Processes: p, Goroutines: g} }
	group := Shape{Measure: "group", Size: 1000, Processes: 1, Goroutines: 64}
	const large = 100_000
	targets := []target{
		{"Get, 1,000 machines, serial and on all cores, against its floor", "≤ 1.2, 0 allocations", []part{
			{"serial", over(get(1), m, peer.Floor), 1.2, false},
			{"all cores", over(get(cores), m, peer.Floor), 1.2, false},
			{"allocations", detail(get(1), m, "allocs"), 0, false},
		}},
		{"Latest + Get with nothing changed, against the same floor", "≤ 2.0, 0 allocations", []part{
			{"serial", over(get(1), latest, peer.Floor), 2, false},
			{"all cores", over(get(cores), latest, peer.Floor), 2, false},
			{"allocations", detail(get(1), latest, "allocs"), 0, false},
		}},
		{"Get against the baseline's Get on all cores", "≥ 2 times faster", []part{
			{"", times(get(cores), m, peer.Baseline), 2, true},
		}},
		{"p99.9 of a Get while another process commits without pause, against idle", "≤ 2", []part{
			{"", detail(Shape{Measure: "latency", Size: 1000, Goroutines: 1}, m, "busy/idle p99.9"), 2, false},
		}},
		{"single durable Add at 10, 1,000 and 100,000 machines, against the floor for the same bytes", "≤ 1.15, 1.15, 1.3", []part{
			{"10", over(add(10), m, peer.Floor), 1.15, false},
			{"1,000", over(add(1000), m, peer.Floor), 1.15, false},
			{"100,000", over(add(large), m, peer.Floor), 1.3, false},
		}},
		{"64 goroutines adding, durable, against the baseline, which syncs nothing", "≥ 10 times", []part{
			{"as published", times(group, m, peer.Baseline), 10, true},
			{"with machreg's lock", times(group, m, peer.BaselineLocked), 10, true},
		}},
		{"4 processes × 8 goroutines and 8 × 4, durable, against SQLite WAL FULL", "≥ 1.0", []part{
			{"4×8", times(shared(4, 8), m, peer.SQLite), 1, true},
			{"8×4", times(shared(8, 4), m, peer.SQLite), 1, true},
			{"not following each other: 4×8", times(shared(4, 8), peer.Unwatched, peer.SQLite), 1, true},
			{"8×4", times(shared(8, 4), peer.Unwatched, peer.SQLite), 1, true},
		}},
		{"the same against the baseline", "≥ 4 times, 0 lost", []part{
			{"4×8", times(shared(4, 8), m, peer.Baseline), 4, true},
			{"8×4", times(shared(8, 4), m, peer.Baseline), 4, true},
			{"4×8 with machreg's lock", times(shared(4, 8), m, peer.BaselineLocked), 4, true},
			{"8×4 with machreg's lock", times(shared(8, 4), m, peer.BaselineLocked), 4, true},
			{"lost 4×8", detail(shared(4, 8), m, "lost"), 0, false},
			{"lost 8×4", detail(shared(8, 4), m, "lost"), 0, false},
		}},
		{"reload of one changed machine in 100,000, against encoding/json decoding the file", "≤ 0.1", []part{
			{"", over(Shape{Measure: "reload one", Size: large}, m, "encoding/json"), 0.1, false},
		}},
		{"Open at 100,000, against encoding/json", "≤ 0.5", []part{
			{"", over(Shape{Measure: "open", Size: large}, m, "encoding/json"), 0.5, false},
		}},
		{"memory at 100,000, against the file's size", "≤ 3", []part{
			{"", detail(Shape{Measure: "memory", Size: large}, m, "heap/file"), 3, false},
		}},
	}
	var out []Outcome
	for _, t := range targets {
		out = append(out, t.judge(r))
	}
	return out
}

func (t target) judge(r *Report) Outcome {
	o := Outcome{What: t.what, Target: t.want, OK: true}
	var parts []string
	for _, p := range t.parts {
		x, found := p.figure(r)
		text := "not measured"
		if found {
			text = digits(x)
		}
		if p.label != "" {
			text = p.label + " " + text
		}
		if ok := found && (x <= p.bound && !p.atLeast || x >= p.bound && p.atLeast); !ok {
			o.OK = false
			text += " ✗"
		}
		parts = append(parts, text)
	}
	o.Measured = strings.Join(parts, ", ")
	return o
}

// WriteTargets prints what Check found.
func (r *Report) WriteTargets(w io.Writer) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "what\ttarget\tmeasured\tok")
	for _, o := range r.Targets {
		ok := "yes"
		if !o.OK {
			ok = "NO"
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\n", o.What, o.Target, o.Measured, ok)
	}
	return tw.Flush()
}
