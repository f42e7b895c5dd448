package compare

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"
)

// Options are what a run needs besides its workload.
type Options struct {
	// Worker makes the command of a process that calls [Serve] on its standard
	// input and output. Required.
	Worker func() *exec.Cmd
	// Dir is where the registries are made, in a directory of their own that is
	// removed at the end; empty is the system's for temporary files. The file
	// system it is on matters: syncing costs nothing on one in memory.
	Dir string
	// Progress is told before each round, and at the end; optional.
	Progress func(Progress)
}

// Progress is how far a run is.
type Progress struct {
	Contestant  string
	Round       int // counted from 1
	Rounds      int
	Done, Total int // rounds of all contestants
	Window      time.Duration
}

// Run lets the contestants work in turns and returns what came of it. When ctx
// ends, the round that is under way is cut short and counted as far as it went;
// that is no error, and the report says that it was interrupted.
func Run(ctx context.Context, w Workload, o Options) (*Report, error) {
	if err := w.Check(); err != nil {
		return nil, fmt.Errorf("compare: %w", err)
	}
	dir, err := os.MkdirTemp(o.Dir, "machreg-compare-")
	if err != nil {
		return nil, fmt.Errorf("compare: %w", err)
	}
	defer os.RemoveAll(dir)
	report := newReport(w, dir)
	random := rand.New(rand.NewPCG(w.Seed, 0))
	turns := slices.Clone(w.Contestants)
	for number := range w.Rounds {
		// Nobody always follows the same one, or always goes first.
		random.Shuffle(len(turns), func(i, j int) { turns[i], turns[j] = turns[j], turns[i] })
		for i, name := range turns {
			if ctx.Err() != nil {
				return report.finish(), nil
			}
			done := number*len(turns) + i
			o.tell(Progress{name, number + 1, w.Rounds, done, w.Rounds * len(turns), w.window()})
			r := round{
				workload: &w, name: name, number: number, command: o.Worker,
				dir:    filepath.Join(dir, fmt.Sprintf("%s-%d", name, number)),
				random: rand.New(rand.NewPCG(w.Seed, uint64(number)+1)),
			}
			res, err := r.run(ctx)
			if err != nil {
				return nil, fmt.Errorf("compare: %s, round %d: %w", name, number+1, err)
			}
			report.add(name, res)
			report.Interrupted = ctx.Err() != nil
		}
	}
	return report.finish(), nil
}

func (o *Options) tell(p Progress) {
	if o.Progress != nil {
		o.Progress(p)
	}
}
