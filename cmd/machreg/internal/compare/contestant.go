package compare

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/machreg/machreg/proptest/baseline"
	"github.com/machreg/machreg/registry"
)

// Contestant is one registry, or one way of using it.
type Contestant struct {
	Name, About string
	open        func(path string, w *Workload) (handle, error)
}

// Baseline is the contestant that the others are compared with.
const Baseline = "baseline"

var defaultContestants = []string{Baseline, "baseline-correct", "machreg"}

// Contestants are all there are.
var Contestants = []Contestant{
	{Baseline, "the algorithm before, with its published lock; never syncs", openBaseline(baseline.PublishedLock)},
	{"baseline-correct", "the same with a lock that excludes; never syncs", openBaseline(baseline.CorrectLock)},
	{"machreg", "this registry as it is by default: a write is on the disk when it is acknowledged",
		openMachreg(registry.Options{})},
	{"machreg-nogroup", "without group commit: a file update for each write",
		openMachreg(registry.Options{GroupLimit: 1})},
	{"machreg-nopage", "without the revision page, which Latest asks",
		openMachreg(registry.Options{Page: registry.PageOff})},
	{"machreg-nosync", "without waiting for the disk, as the baseline",
		openMachreg(registry.Options{Sync: registry.SyncNone})},
}

// ContestantNames are their names.
func ContestantNames() (names []string) {
	for _, c := range Contestants {
		names = append(names, c.Name)
	}
	return names
}

func contestantNamed(name string) (Contestant, error) {
	i := slices.IndexFunc(Contestants, func(c Contestant) bool { return c.Name == name })
	if i < 0 {
		return Contestant{}, fmt.Errorf("contestant %q: want some of %s", name, strings.Join(ContestantNames(), ", "))
	}
	return Contestants[i], nil
}

// handle is one process's hold on a registry. It is safe for concurrent use.
type handle interface {
	get(name string) (registry.Machine, bool, error)
	put(m registry.Machine) error
	remove(name string) error
	effort() effort
	close() error
}

// effort is what a handle says about its own work.
type effort struct {
	Known    bool          `json:"known"` // it counts
	Commits  uint64        `json:"commits"`
	Writes   uint64        `json:"writes"` // in these commits
	LockWait time.Duration `json:"lock_wait"`
}

func (e effort) since(before effort) effort {
	return effort{e.Known, e.Commits - before.Commits, e.Writes - before.Writes, e.LockWait - before.LockWait}
}

func openBaseline(lock baseline.LockKind) func(string, *Workload) (handle, error) {
	return func(path string, w *Workload) (handle, error) {
		r := baseline.New(path, &baseline.Options{Lock: lock, Timeout: time.Duration(w.LockTimeout)})
		return baselineHandle{r}, r.Load()
	}
}

type baselineHandle struct{ *baseline.Registry }

func (h baselineHandle) get(name string) (registry.Machine, bool, error) {
	m, err := h.Get(name)
	if err != nil { // it can only be that the machine is not there
		return registry.Machine{}, false, nil
	}
	return registry.Machine(*m), true, nil
}

func (h baselineHandle) put(m registry.Machine) error {
	b := baseline.Machine(m)
	return h.Add(&b)
}

func (h baselineHandle) remove(name string) error { return h.Remove(name) }
func (h baselineHandle) effort() effort           { return effort{} }
func (h baselineHandle) close() error             { return h.Close() }

func openMachreg(o registry.Options) func(string, *Workload) (handle, error) {
	return func(path string, w *Workload) (handle, error) {
		o := o
		o.LockTimeout = time.Duration(w.LockTimeout)
		r, err := registry.OpenMachines(path, &o)
		if err != nil {
			return nil, err
		}
		return &machregHandle{r, w.Latest}, nil
	}
}

type machregHandle struct {
	registry *registry.MachineRegistry
	latest   bool
}

func (h *machregHandle) get(name string) (registry.Machine, bool, error) {
	snap := h.registry.Snapshot()
	if h.latest {
		var err error
		if snap, err = h.registry.Latest(context.Background()); err != nil {
			return registry.Machine{}, false, err
		}
	}
	m, there := snap.Get(name)
	return m, there, nil
}

func (h *machregHandle) put(m registry.Machine) error {
	_, err := h.registry.Add(context.Background(), m)
	return err
}

func (h *machregHandle) remove(name string) error {
	_, err := h.registry.Remove(context.Background(), name)
	return err
}

func (h *machregHandle) effort() effort {
	s := h.registry.Stats()
	return effort{true, s.Commits, s.Writes, s.LockWait}
}

func (h *machregHandle) close() error { return h.registry.Close() }
