package compare

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"

	"github.com/machreg/machreg/proptest"
	"github.com/machreg/machreg/registry"
)

// Finding is one way in which the two registries did not do the same.
type Finding struct {
	Difference string `json:"difference"` // one of [proptest.Differences]; empty if it is not expected
	What       string `json:"what"`       // a result, or a part of the file
	Count      int    `json:"count"`
	// The first time it was met.
	Sequence int    `json:"sequence"`
	Step     int    `json:"step"`
	Command  string `json:"command"`
	Baseline string `json:"baseline"`
	Here     string `json:"here"`
}

// Expected reports whether the finding is on the list of differences.
func (f *Finding) Expected() bool { return f.Difference != "" }

// CheckReport is what came of a comparison of semantics.
type CheckReport struct {
	Seed        uint64    `json:"seed"`
	Sequences   int       `json:"sequences"`
	Commands    int       `json:"commands"`
	Interrupted bool      `json:"interrupted"`
	Unexpected  int       `json:"unexpected"`
	Findings    []Finding `json:"findings"`
	// Unmet are documented differences that no command brought to light, with
	// the test that pins each.
	Unmet []proptest.Difference `json:"unmet"`
}

// stepsEach is how many commands a sequence has, if no difference ends it.
const stepsEach = 25

// Check runs generated sequences of commands on the baseline and on this
// registry, one process and one command at a time, and returns every difference
// in what they return and in what is in the file. Findings that differ only in
// when they were met are one. A difference that leaves the two in different
// states ends its sequence. The files are made in dir, or where temporary files
// are if it is empty. progress may be nil.
func Check(ctx context.Context, seed uint64, sequences int, dir string, progress func(done, total int)) (*CheckReport, error) {
	return CheckSubject(ctx, seed, sequences, dir, progress, proptest.Machines(&registry.Options{
		// What a read returns must not depend on when it is made.
		Refresh: registry.RefreshNever, Sync: registry.SyncNone,
	}))
}

// CheckSubject is [Check] of any registry that keeps this module's file, and
// that can do what proptest.Machines can.
func CheckSubject(ctx context.Context, seed uint64, sequences int, dir string, progress func(done, total int), subject proptest.New) (*CheckReport, error) {
	report := &CheckReport{Seed: seed, Findings: []Finding{}}
	for n := range sequences {
		if ctx.Err() != nil {
			report.Interrupted = true
			break
		}
		if progress != nil {
			progress(n, sequences)
		}
		if err := report.sequence(n, dir, subject); err != nil {
			return nil, fmt.Errorf("check: seed %d, sequence %d: %w", seed, n, err)
		}
		report.Sequences++
	}
	report.unmet()
	return report, nil
}

// sequence runs one sequence on new registries.
func (r *CheckReport) sequence(n int, dir string, subject proptest.New) (err error) {
	dir, err = os.MkdirTemp(dir, "machreg-check-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	p := &pair{
		random: rand.New(rand.NewPCG(r.Seed, uint64(n))),
		theirs: &site{dir: filepath.Join(dir, "baseline"), open: proptest.Baseline(nil)},
		ours:   &site{dir: filepath.Join(dir, "machreg"), open: subject},
	}
	for _, s := range []*site{p.theirs, p.ours} {
		if err := os.Mkdir(s.dir, 0o755); err != nil {
			return err
		}
		if err := s.reopen(); err != nil {
			return err
		}
		defer s.close()
	}
	for step := range stepsEach {
		p.command, p.found, p.apart = "", nil, false
		if err := p.step(); err != nil {
			return fmt.Errorf("step %d, %s: %w", step, p.command, err)
		}
		r.Commands++
		for _, f := range p.found {
			f.Sequence, f.Step, f.Command, f.Count = n, step, p.command, 1
			r.note(f)
		}
		if p.apart {
			return nil
		}
	}
	return nil
}

// note adds a finding, unless it is one of those expected that are there.
func (r *CheckReport) note(f Finding) {
	if !f.Expected() {
		r.Unexpected++
	}
	for i := range r.Findings {
		have := &r.Findings[i]
		if f.Expected() && have.Difference == f.Difference && have.What == f.What {
			have.Count++
			return
		}
	}
	r.Findings = append(r.Findings, f)
}

func (r *CheckReport) unmet() {
	r.Unmet = []proptest.Difference{}
	for _, d := range proptest.Differences {
		met := false
		for _, f := range r.Findings {
			met = met || f.Difference == d.Name
		}
		if !met {
			r.Unmet = append(r.Unmet, d)
		}
	}
}

// site is one of the two registries.
type site struct {
	dir  string
	open proptest.New
	proptest.Subject
}

func (s *site) path() string { return filepath.Join(s.dir, proptest.FileName) }

func (s *site) close() error {
	if c, is := s.Subject.(io.Closer); is {
		return c.Close()
	}
	return nil
}

func (s *site) reopen() error {
	if s.Subject != nil {
		if err := s.close(); err != nil {
			return err
		}
	}
	next, err := s.open(s.dir)
	if err == nil {
		s.Subject = next
	}
	return err
}

// refresh makes the handle know what is in the file.
func (s *site) refresh() error { return s.Subject.(proptest.Refresher).Refresh() }

// word is what an error means, the same for both registries.
func word(err error) string {
	for _, known := range []struct {
		cause error
		text  string
	}{
		{nil, "done"},
		{registry.ErrNotFound, "refused: not found"},
		{registry.ErrBuiltin, "refused: built in"},
		{registry.ErrInvalid, "refused: invalid"},
		{registry.ErrMissing, "refused: the file is gone"},
	} {
		if errors.Is(err, known.cause) {
			return known.text
		}
	}
	return "failed"
}

// read is what a plain read of a machine returns.
func (s *site) read(name string) string {
	m, err := s.Get(name)
	if err != nil {
		return word(err)
	}
	return machineText(m)
}

// readLatest is what the freshest read there is returns.
func (s *site) readLatest(name string) string {
	l, is := s.Subject.(proptest.Latest)
	if !is {
		return s.read(name)
	}
	v, err := l.Latest()
	if err != nil {
		return word(err)
	}
	if m, there := v.Get(name); there {
		return machineText(m)
	}
	return word(registry.ErrNotFound)
}

func machineText(m registry.Machine) string {
	return fmt.Sprintf("%s %q %q %q", m.Type, m.Host, m.KeyPath, m.TownPath)
}
