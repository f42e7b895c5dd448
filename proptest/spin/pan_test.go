package spin_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// The models, and the bits of PROPS in each.
const (
	machreg    = "machreg.pml"
	exclusion  = 1
	durability = 2
	freshness  = 4
	every      = exclusion | durability | freshness

	revisions      = "revisions.pml"
	unique         = 1
	condition      = 2
	monotone       = 4
	fresh          = 8
	kept           = 16
	reached        = 32
	everyRevisions = unique | condition | monotone | fresh | kept | reached

	syncs   = "sync.pml"
	survive = 1
)

// Every search has more room than any needs, so that running into a bound is
// a finding: the depth in steps, the memory in MB.
const (
	maxDepth  = 1_000_000
	maxMemory = 6_000
)

// search is one build of a model and one exhaustive run of it.
type search struct {
	name    string
	model   string   // machreg if empty
	defines []string // what the model is built with, besides PROPS
	props   int      // which properties are asserted
	large   bool     // too large for a plain go test
}

// outcome is what the verifier said about a search.
type outcome struct {
	errors   int
	states   int64
	depth    int64
	memoryMB float64
	// violated is the property whose assertion failed, 0 if none did.
	violated int
	// incomplete quotes the verifier if it left a part of the space out.
	incomplete string
	// unreached lists statements never executed, of every process but the
	// stranger, which may have nothing to do, and init.
	unreached []string
	trail     string
}

func (o outcome) String() string {
	return fmt.Sprintf("errors: %d, %d states stored, depth %d, %.0f MB", o.errors, o.states, o.depth, o.memoryMB)
}

var (
	summaryLine   = regexp.MustCompile(`depth reached (\d+), errors: (\d+)`)
	storedLine    = regexp.MustCompile(`(?m)^\s*(\d+) states, stored`)
	memoryLine    = regexp.MustCompile(`(?m)^\s*([0-9.]+)\s+total actual memory usage`)
	violatedLine  = regexp.MustCompile(`assertion violated\s+\(?\s*!\(\(\d+&(\d+)\)\)`)
	truncatedLine = regexp.MustCompile(`(?im)^.*(search not completed|max search depth too small|out of memory|memlim).*$`)
	unreachedPart = regexp.MustCompile(`(?m)^unreached in proctype (writer|reader|handle|killer|foreign)\n((?:\t[^(\n].*\n)*)`)
)

// requireTools skips the test unless the verifier can be built and run.
func requireTools(t *testing.T) {
	t.Helper()
	for _, tool := range []string{"spin", "gcc"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("MODEL NOT CHECKED: %s is not installed (%v)", tool, err)
		}
	}
}

// run generates, builds and runs the verifier for s, in a directory of its own
// that the trail of a violation is left in.
func (s search) run(t *testing.T) outcome {
	t.Helper()
	dir := t.TempDir()
	modelFile := s.file()
	model, err := os.ReadFile(modelFile)
	if err != nil {
		t.Fatal(err)
	}
	// The verifier writes its trail beside the model it was generated from.
	if err := os.WriteFile(filepath.Join(dir, modelFile), model, 0o644); err != nil {
		t.Fatal(err)
	}

	command(t, dir, "spin", append(s.flags(), "-a", modelFile)...)
	// COLLAPSE compresses states without losing any; neither bit-state hashing
	// nor hash compaction is used, for both can miss a state.
	build := []string{"-w", "-DSAFETY", "-DCOLLAPSE", fmt.Sprintf("-DMEMLIM=%d", maxMemory), "-o", "pan", "pan.c"}
	hash := "-w20"
	if s.large {
		build = append([]string{"-O2"}, build...)
		hash = "-w25"
	}
	command(t, dir, "gcc", build...)
	out := command(t, dir, "./pan", fmt.Sprintf("-m%d", maxDepth), hash)

	o, err := parse(out)
	if err != nil {
		t.Fatalf("verifier output: %v\n%s", err, out)
	}
	if o.errors > 0 {
		o.trail = s.replay(t, dir)
	}
	return o
}

// file is the model's.
func (s search) file() string {
	if s.model == "" {
		return machreg
	}
	return s.model
}

// flags are what the model is built with, as README.md shows them.
func (s search) flags() []string {
	flags := []string{fmt.Sprintf("-DPROPS=%d", s.props)}
	for _, d := range s.defines {
		flags = append(flags, "-D"+d)
	}
	return flags
}

// replay returns the steps of the violation that the verifier found.
func (s search) replay(t *testing.T, dir string) string {
	t.Helper()
	steps := command(t, dir, "spin", append(s.flags(), "-t", "-p", s.file())...)
	if ends := strings.Index(steps, "spin: trail ends"); ends >= 0 {
		steps = steps[:ends]
	}
	return steps
}

// command runs one tool and returns what it printed. A verifier that found an
// error may say so by its status, which parse reads from the output instead.
func command(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir = dir
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	var status *exec.ExitError
	if err != nil && (name != "./pan" || !errors.As(err, &status)) {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out.String())
	}
	return out.String()
}

func parse(out string) (outcome, error) {
	var o outcome
	if !strings.Contains(out, "Full statespace search for:") {
		return o, errors.New("not a full state space search")
	}
	summary, stored := summaryLine.FindStringSubmatch(out), storedLine.FindStringSubmatch(out)
	memory := memoryLine.FindStringSubmatch(out)
	if summary == nil || stored == nil || memory == nil {
		return o, errors.New("no summary")
	}
	var errDepth, errErrors, errStates, errMemory error
	o.depth, errDepth = strconv.ParseInt(summary[1], 10, 64)
	o.errors, errErrors = strconv.Atoi(summary[2])
	o.states, errStates = strconv.ParseInt(stored[1], 10, 64)
	o.memoryMB, errMemory = strconv.ParseFloat(memory[1], 64)
	if err := errors.Join(errDepth, errErrors, errStates, errMemory); err != nil {
		return o, err
	}
	if v := violatedLine.FindStringSubmatch(out); v != nil {
		o.violated, _ = strconv.Atoi(v[1]) // the expression admits digits only
	}
	o.incomplete = strings.TrimSpace(truncatedLine.FindString(out))
	parts := unreachedPart.FindAllStringSubmatch(out, -1)
	if o.errors == 0 && parts == nil {
		return o, errors.New("no account of unreached statements")
	}
	for _, part := range parts {
		for line := range strings.Lines(part[2]) {
			if !strings.Contains(line, `"-end-"`) {
				o.unreached = append(o.unreached, part[1]+" "+strings.TrimSpace(line))
			}
		}
	}
	return o, nil
}
