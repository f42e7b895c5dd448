package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/machreg/machreg/cmd/internal/wholefile"
	"github.com/machreg/machreg/cmd/machreg/internal/compare"
)

// comparison is the flags of compare.
type comparison struct {
	work      compare.Workload
	output    string
	html      string
	dir       string
	check     bool
	sequences int
}

func (a *app) compareCommand() *cobra.Command {
	x := comparison{output: "table"}
	preset := compare.Presets[0].Name
	c := &cobra.Command{
		Use:     "compare",
		GroupID: groupCare,
		Short:   "Run one workload on this registry and on the algorithm before it",
		Long: `Run the same workload on several registries, with real processes, and report
for each how fast it is, how old what it returns is, and which of the writes
that it acknowledged are gone. The registries are made in a directory of their
own and removed; --file plays no part.

Presets:
` + presetHelp() + `
Contestants, of which the first three take part by default:
` + contestantHelp() + `
They take turns in short rounds, each on a new registry. Every goroutine writes
machines of its own, and every write is noted before and after; what the file
holds at the end of a round is held against these notes. So what is reported as
lost was acknowledged, and is gone. Staleness is for how long the value that was
read had been superseded by an acknowledged write of another process.

Ctrl-C ends the run early and reports what there is.

With --check nothing is measured. Generated commands are run on the baseline and
on this registry, and every difference in results or in the file is printed. It
ends with code 1 if there is one that is not documented.`,
		Example: `  machreg compare --preset contended --duration 1s --rounds 2
  machreg compare --preset crashy --duration 300ms --rounds 1 -o json
  machreg compare --contestants machreg,machreg-nosync --duration 200ms --rounds 2 --html compare.html
  machreg compare --check --sequences 50`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, args []string) error {
			if !c.Flags().Changed("seed") {
				x.work.Seed = rand.Uint64() >> 11 // what JSON numbers hold exactly
			}
			if err := x.checkDir(); err != nil {
				return err
			}
			if x.check {
				return a.compareSemantics(c, &x)
			}
			if err := x.fill(c, preset); err != nil {
				return usageError{err}
			}
			return a.compareWork(c, &x)
		},
	}
	w, flags := &x.work, c.Flags()
	flags.SortFlags = false
	var presets []string
	for _, p := range compare.Presets {
		presets = append(presets, p.Name)
	}
	flags.StringVar(&preset, "preset", preset, "the workload: `NAME`, one of "+strings.Join(presets, ", "))
	flags.StringSliceVar(&w.Contestants, "contestants", nil, "who takes part: `NAME,...`")
	flags.IntVar(&w.Processes, "processes", 0, "`NUMBER` of processes (default: the preset's)")
	flags.IntVar(&w.Goroutines, "goroutines", 0, "`NUMBER` of goroutines in each")
	flags.IntVar(&w.Machines, "machines", 0, "`NUMBER` of machines in the registry at first")
	flags.Float64Var(&w.ReadRatio, "read-ratio", 0, "how many of all operations are reads: `RATIO` from 0 to 1")
	flags.DurationVar((*time.Duration)(&w.Kill), "kill-every", 0, "kill a process about every `DURATION`; 0 is never")
	flags.BoolVar(&w.Latest, "latest", false, "read with Latest, which misses no acknowledged write, where there is such a read")
	flags.DurationVar((*time.Duration)(&w.Duration), "duration", 5*time.Second, "how long each contestant works: `DURATION`")
	flags.IntVar(&w.Rounds, "rounds", 5, "in how many turns: `NUMBER`")
	flags.Uint64Var(&w.Seed, "seed", 0, "`NUMBER` that all chance follows from (default: another each time)")
	flags.StringVar(&x.dir, "dir", "", "make the registries in `DIR`, and so on its file system (default: the one for temporary files)")
	flags.VarP(choice(&x.output, "table", "json"), "output", "o", "print as table or json")
	flags.StringVar(&x.html, "html", "", "write the report with plots to `FILE`, a page that needs nothing else")
	flags.BoolVar(&x.check, "check", false, "compare what commands do instead of how fast")
	flags.IntVar(&x.sequences, "sequences", 500, "`NUMBER` of command sequences for --check")
	c.MarkFlagsMutuallyExclusive("check", "html")
	c.AddCommand(a.compareWorkerCommand())
	return c
}

func presetHelp() string {
	var b strings.Builder
	for _, p := range compare.Presets {
		w := p.Workload
		fmt.Fprintf(&b, "  %-12s %s\n  %-12s (%d processes with %d goroutines each, %d machines)\n",
			p.Name, p.About, "", w.Processes, w.Goroutines, w.Machines)
	}
	return b.String()
}

func contestantHelp() string {
	var b strings.Builder
	for _, c := range compare.Contestants {
		fmt.Fprintf(&b, "  %-17s %s\n", c.Name, c.About)
	}
	return b.String()
}

// fill completes the workload from its preset.
func (x *comparison) fill(c *cobra.Command, preset string) error {
	w, err := compare.PresetNamed(preset)
	if err != nil {
		return err
	}
	given, flags := x.work, c.Flags()
	for name, set := range map[string]func(){
		"contestants": func() { w.Contestants = given.Contestants },
		"processes":   func() { w.Processes = given.Processes },
		"goroutines":  func() { w.Goroutines = given.Goroutines },
		"machines":    func() { w.Machines = given.Machines },
		"read-ratio":  func() { w.ReadRatio = given.ReadRatio },
		"kill-every":  func() { w.Kill = given.Kill },
	} {
		if flags.Changed(name) {
			set()
		}
	}
	w.Latest, w.Duration, w.Rounds, w.Seed = given.Latest, given.Duration, given.Rounds, given.Seed
	x.work = w
	return w.Check()
}

// checkDir reports that there is no directory to make the registries in.
func (x *comparison) checkDir() error {
	dir := x.dir
	if dir == "" {
		dir = os.TempDir()
	}
	if _, err := os.Stat(dir); err != nil {
		return hinted{fmt.Errorf("compare: no place for the registries: %w", err), "name a directory with --dir, or set TMPDIR"}
	}
	return nil
}

// compareWork runs the workload and reports it.
func (a *app) compareWork(c *cobra.Command, x *comparison) error {
	worker, err := workerCommand()
	if err != nil {
		return err
	}
	x.work.LockTimeout = compare.Span(a.timeout())
	// Before the work, so that it is not done in vain.
	if x.html != "" {
		if err := wholefile.Probe(x.html); err != nil {
			return fmt.Errorf("compare: %w", err)
		}
	}
	bar := a.newBar()
	report, err := compare.Run(c.Context(), x.work, compare.Options{Worker: worker, Dir: x.dir, Progress: bar.show})
	bar.clear()
	if err != nil {
		return err
	}
	report.Program, report.Command = version(), x.command(a)
	if x.html != "" {
		if err := wholefile.Write(x.html, report.WritePage); err != nil {
			return fmt.Errorf("compare: %w", err)
		}
	}
	if x.output == "json" {
		text, err := json.MarshalIndent(report, "", "  ")
		if err != nil {
			return err
		}
		a.out.Printf("%s\n", text)
	} else if err := a.printComparison(report); err != nil {
		return err
	}
	if report.Interrupted {
		a.warn("interrupted: this is what there was until then")
	}
	return nil
}

// command repeats the run, except for what chance the machine adds.
func (x *comparison) command(a *app) string {
	w := x.work
	words := []string{
		"machreg compare", "--preset", w.Preset, "--contestants", strings.Join(w.Contestants, ","),
		"--processes", fmt.Sprint(w.Processes), "--goroutines", fmt.Sprint(w.Goroutines),
		"--machines", fmt.Sprint(w.Machines), "--read-ratio", fmt.Sprint(w.ReadRatio),
		"--kill-every", w.Kill.String(), "--duration", w.Duration.String(),
		"--rounds", fmt.Sprint(w.Rounds), "--seed", fmt.Sprint(w.Seed),
	}
	if w.Latest {
		words = append(words, "--latest")
	}
	if a.command.Flags().Changed("lock-timeout") {
		words = append(words, "--lock-timeout", a.lockTimeout.String())
	}
	return strings.Join(words, " ")
}

// compareWorkerCommand is what compare runs itself as.
func (a *app) compareWorkerCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "worker",
		Short:  "Be one process of a comparison",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(c *cobra.Command, args []string) error {
			// An interrupt reaches the whole group of processes; here it is
			// ignored, since whoever started this one ends its input.
			return compare.Serve(a.stdin, a.stdout)
		},
	}
}

// workerCommand makes the commands of worker processes: this program under the
// name it was called by.
func workerCommand() (func() *exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil { // without /proc, for one
		var lerr error
		if self, lerr = exec.LookPath(os.Args[0]); lerr != nil {
			return nil, hinted{fmt.Errorf("compare: the program does not find itself, to start workers: %w", err), "start it by its path"}
		}
	}
	return func() *exec.Cmd {
		c := exec.Command(self, "compare", "worker")
		c.Args[0] = os.Args[0]
		return c
	}, nil
}
