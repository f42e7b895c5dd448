// Package measure is the benchmarks: each file holds what is measured of one
// subject, as a method of [Bench] that adds rows to the report.
package measure

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/machreg/machreg/cmd/bench/internal/child"
	"github.com/machreg/machreg/cmd/bench/internal/fleet"
	"github.com/machreg/machreg/cmd/bench/internal/lap"
	"github.com/machreg/machreg/cmd/bench/internal/peer"
	"github.com/machreg/machreg/cmd/bench/internal/report"
)

// Config says what to measure.
type Config struct {
	Dir        string   // on the disk that is to be measured
	Stores     []string // names of kinds; empty is all
	Sizes      []int    // machines
	Goroutines []int    // that read or write at the same time
	Processes  []int
	Reads      []int // percent of operations that are reads, in mixed
	Rounds     int
	Slice      time.Duration                    // how long a lap that is bounded by time lasts
	Progress   func(format string, args ...any) // told what is being measured
}

// Bench measures. Its methods are not safe for concurrent use.
type Bench struct {
	Config
	Report *report.Report
	filled map[string]bool
}

// New makes a bench that adds to r.
func New(c Config, r *report.Report) (*Bench, error) {
	b := &Bench{Config: c, Report: r, filled: make(map[string]bool)}
	for _, name := range c.Stores {
		if _, err := peer.Find(name); err != nil {
			return nil, err
		}
	}
	if r.Stores == nil {
		r.Stores = make(map[string]string)
	}
	for _, k := range peer.Kinds() {
		if b.wants(k.Name) {
			r.Stores[k.Name] = k.Note
		}
	}
	return b, os.MkdirAll(c.Dir, 0o755)
}

// Roles are what the children of this package do.
func Roles() map[string]child.Role {
	return map[string]child.Role{
		roleWork:   work,
		roleCommit: commitForever,
		roleMemory: weigh,
		roleWatch:  watch,
	}
}

// All lists the measures by name, in the order in which they run.
func All() []Measure {
	return []Measure{
		{"get", "Get and Latest+Get, serial and on all cores", (*Bench).Gets},
		{"list", "List and ranging, serial and on all cores", (*Bench).Lists},
		{"latency", "single reads while another process commits without pause, and idle", (*Bench).Latency},
		{"add", "one durable write at a time", (*Bench).Adds},
		{"group", "goroutines of one process writing at the same time", (*Bench).Groups},
		{"shared", "goroutines of several processes writing at the same time", (*Bench).Shared},
		{"mixed", "reads and writes mixed, sizes × read ratios × goroutines × processes", (*Bench).Mixed},
		{"reload", "seeing what another process changed", (*Bench).Reloads},
		{"open", "opening the store", (*Bench).Opens},
		{"tx", "a transaction that reads two machines and writes one", (*Bench).Transactions},
		{"memory", "heap and resident memory a machine", (*Bench).Memory},
		{"wake", "from one process's rename to another's Watch", (*Bench).Wakeups},
	}
}

// Measure is one subject.
type Measure struct {
	Name, About string
	Run         func(*Bench) error
}

func (b *Bench) wants(store string) bool {
	return len(b.Stores) == 0 || slices.Contains(b.Stores, store)
}

// kinds are the wanted ones that fit.
func (b *Bench) kinds(fits func(peer.Kind) bool) []peer.Kind {
	var out []peer.Kind
	for _, k := range peer.Kinds() {
		if b.wants(k.Name) && fits(k) && (!k.Variant || slices.Contains(b.Stores, k.Name)) {
			out = append(out, k)
		}
	}
	return out
}

func is(names ...string) func(peer.Kind) bool {
	return func(k peer.Kind) bool { return slices.Contains(names, k.Name) }
}

// dir returns a new directory with a store of that kind with n machines. Each
// store is filled once and copied.
func (b *Bench) dir(k peer.Kind, n int) (string, error) {
	template := filepath.Join(b.Dir, fmt.Sprintf("template-%s-%d", k.Name, n))
	if !b.filled[template] {
		if err := os.RemoveAll(template); err != nil {
			return "", err
		}
		if err := os.MkdirAll(template, 0o755); err != nil {
			return "", err
		}
		if err := k.Fill(template, fleet.All(n)); err != nil {
			return "", fmt.Errorf("fill %s with %d machines: %w", k.Name, n, err)
		}
		b.filled[template] = true
	}
	dir, err := os.MkdirTemp(b.Dir, "run-"+k.Name+"-")
	if err != nil {
		return "", err
	}
	return dir, peer.Copy(dir, template)
}

// open makes a store as dir does and opens it.
func (b *Bench) open(k peer.Kind, n int, o peer.Options) (peer.Store, func() error, error) {
	dir, err := b.dir(k, n)
	if err != nil {
		return nil, nil, err
	}
	s, err := k.Open(dir, o)
	if err != nil {
		return nil, nil, fmt.Errorf("open %s: %w", k.Name, err)
	}
	return s, func() error { return errors.Join(s.Close(), os.RemoveAll(dir)) }, nil
}

// race measures contenders and reports them under one shape.
func (b *Bench) race(shape report.Shape, contenders []lap.Contender) ([]*report.Row, error) {
	if len(contenders) == 0 {
		return nil, nil
	}
	b.Progress("%s", shape)
	series, err := lap.Race(b.Rounds, contenders)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", shape, err)
	}
	var names []string
	for _, c := range contenders {
		names = append(names, c.Name)
	}
	return b.Report.Add(shape, "ns", names, series, peer.Floor, peer.Baseline), nil
}

// closeAll runs what open returned.
func closeAll(closers []func() error) error {
	var errs []error
	for _, c := range closers {
		errs = append(errs, c())
	}
	return errors.Join(errs...)
}

// verify demands that a store holds exactly what it was filled with.
func verify(s peer.Store, names []string) error {
	for _, name := range names {
		m, err := s.Get(name)
		if err != nil {
			return err
		}
		if _, err := fleet.Generation(name, m); err != nil {
			return err
		}
	}
	return nil
}
