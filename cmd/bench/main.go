// Bench measures machreg beside its floors, the algorithm it replaces, and the
// embedded stores that a program might use instead. See README.md.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/machreg/machreg/cmd/bench/internal/child"
	"github.com/machreg/machreg/cmd/bench/internal/growth"
	"github.com/machreg/machreg/cmd/bench/internal/measure"
	"github.com/machreg/machreg/cmd/bench/internal/report"
	"github.com/machreg/machreg/cmd/internal/wholefile"
	"github.com/machreg/machreg/internal/vfs"
)

func main() {
	child.Main(measure.Roles())
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// settings is what the flags say.
type settings struct {
	preset, measures, stores             string
	sizes, goroutines, processes, reads  string
	rounds                               int
	slice                                time.Duration
	jsonPath, dir, cpuprofile, growthDir string
	growth, list                         bool
}

func run(args []string, stdout, stderr io.Writer) int {
	var s settings
	fs := flag.NewFlagSet("bench", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.StringVar(&s.preset, "preset", "quick", "what to measure: "+strings.Join(presetNames(), ", "))
	fs.StringVar(&s.measures, "measures", "", "only these measures of the preset, or others; see -list")
	fs.StringVar(&s.stores, "stores", "", "only these stores; see -list")
	fs.StringVar(&s.sizes, "sizes", "", "machines, say 10,1000,100000,1000000")
	fs.StringVar(&s.goroutines, "goroutines", "", "goroutines, say 1,8,64")
	fs.StringVar(&s.processes, "processes", "", "processes, say 1,4,8")
	fs.StringVar(&s.reads, "reads", "", "percent of reads in mixed, say 100,99,90,50")
	fs.IntVar(&s.rounds, "rounds", 0, "how many rounds; each store has one lap in each")
	fs.DurationVar(&s.slice, "slice", 0, "how long a lap lasts, where it is not a number of operations")
	fs.StringVar(&s.jsonPath, "json", "", "also write the results to this file")
	fs.StringVar(&s.dir, "dir", "", "where to make a temporary directory to measure in; it must be on a disk, or a sync costs nothing (default: the system's)")
	fs.StringVar(&s.cpuprofile, "cpuprofile", "", "write a CPU profile of this process to this file")
	fs.BoolVar(&s.growth, "growth", false, "measure how costs grow with size, and write the page and its plots")
	fs.StringVar(&s.growthDir, "growth-dir", ".", "where -growth writes GROWTH.md and its plots")
	fs.BoolVar(&s.list, "list", false, "list the measures and the stores")
	if err := fs.Parse(args); err != nil {
		return 2
	}
	if fs.NArg() > 0 {
		fmt.Fprintf(stderr, "bench: unexpected argument %q\n", fs.Arg(0))
		return 2
	}
	if s.list {
		list(stdout)
		return 0
	}
	if err := s.measure(args, stdout, stderr); err != nil {
		fmt.Fprintln(stderr, "bench:", err)
		return 1
	}
	return 0
}

func (s *settings) measure(args []string, stdout, stderr io.Writer) (err error) {
	p, err := s.chosen()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp(s.dir, "machreg-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if dir, err = filepath.Abs(dir); err != nil {
		return err
	}
	if s.cpuprofile != "" {
		var profile bytes.Buffer
		if err := wholefile.Probe(s.cpuprofile); err != nil {
			return err
		}
		if err := pprof.StartCPUProfile(&profile); err != nil {
			return err
		}
		defer func() {
			pprof.StopCPUProfile()
			err = errors.Join(err, wholefile.Write(s.cpuprofile, func(w io.Writer) error {
				_, err := profile.WriteTo(w)
				return err
			}))
		}()
	}
	r := report.New(args)
	on, _ := vfs.FileSystemOf(dir) // one that cannot be told is called so
	r.Machine.FileSystem = on.String()
	for _, c := range p.configs {
		c.Dir = dir
		c.Progress = func(format string, args ...any) {
			fmt.Fprintf(stderr, "%6.0f s  %s\n", time.Since(r.Started).Seconds(), fmt.Sprintf(format, args...))
		}
		if err := s.override(&c.Config); err != nil {
			return err
		}
		if err := runConfig(c, r); err != nil {
			return err
		}
	}
	r.Seconds = time.Since(r.Started).Seconds()
	if p.targets {
		r.Targets = r.Check(runtime.GOMAXPROCS(0))
	}
	return s.write(r, p, stdout)
}

func runConfig(c presetConfig, r *report.Report) error {
	b, err := measure.New(c.Config, r)
	if err != nil {
		return err
	}
	for _, m := range measure.All() {
		if slices.Contains(c.measures, m.Name) {
			if err := m.Run(b); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *settings) write(r *report.Report, p preset, stdout io.Writer) error {
	if err := r.WriteTable(stdout); err != nil {
		return err
	}
	if p.targets {
		fmt.Fprintln(stdout)
		if err := r.WriteTargets(stdout); err != nil {
			return err
		}
	}
	if s.jsonPath != "" {
		if err := wholefile.Write(s.jsonPath, r.WriteJSON); err != nil {
			return err
		}
	}
	if s.growth {
		return growth.Write(s.growthDir, r)
	}
	return nil
}

// chosen is the preset as the flags change it.
func (s *settings) chosen() (preset, error) {
	name := s.preset
	if s.growth {
		name = growthPreset
	}
	p, ok := presets()[name]
	if !ok {
		return p, fmt.Errorf("preset %q: want one of %s", name, strings.Join(presetNames(), ", "))
	}
	if s.measures == "" {
		return p, nil
	}
	names := strings.Split(s.measures, ",")
	for _, name := range names {
		if !slices.ContainsFunc(measure.All(), func(m measure.Measure) bool { return m.Name == name }) {
			return p, fmt.Errorf("measure %q: see -list", name)
		}
	}
	var configs []presetConfig
	for _, name := range names {
		found := false
		for _, c := range p.configs {
			if slices.Contains(c.measures, name) {
				c.measures, found = []string{name}, true
				configs = append(configs, c)
			}
		}
		if !found {
			c := p.configs[0]
			c.measures = []string{name}
			configs = append(configs, c)
		}
	}
	p.configs = configs
	return p, nil
}

// override lets the flags have the last word.
func (s *settings) override(c *measure.Config) error {
	if s.stores != "" {
		c.Stores = strings.Split(s.stores, ",")
	}
	if s.rounds > 0 {
		c.Rounds = s.rounds
	}
	if s.slice > 0 {
		c.Slice = s.slice
	}
	for _, f := range []struct {
		name, text string
		list       *[]int
	}{
		{"sizes", s.sizes, &c.Sizes},
		{"goroutines", s.goroutines, &c.Goroutines},
		{"processes", s.processes, &c.Processes},
		{"reads", s.reads, &c.Reads},
	} {
		if f.text == "" {
			continue
		}
		*f.list = nil
		for word := range strings.SplitSeq(f.text, ",") {
			n, err := strconv.Atoi(word)
			if err != nil || n < 0 || n == 0 && f.name != "reads" {
				return fmt.Errorf("-%s %q: want numbers separated by commas", f.name, f.text)
			}
			*f.list = append(*f.list, n)
		}
	}
	return nil
}
