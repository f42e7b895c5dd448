package measure

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/machreg/machreg/cmd/bench/internal/lap"
	"github.com/machreg/machreg/cmd/bench/internal/peer"
	"github.com/machreg/machreg/cmd/bench/internal/report"
)

// sharedShapes are processes × goroutines.
func (b *Bench) sharedShapes() [][2]int {
	if len(b.Processes) == 0 && len(b.Goroutines) == 0 {
		return [][2]int{{4, 8}, {8, 4}}
	}
	var out [][2]int
	for _, p := range orDefault(b.Processes, 4) {
		for _, g := range orDefault(b.Goroutines, 8) {
			out = append(out, [2]int{p, g})
		}
	}
	return out
}

func orDefault(list []int, one int) []int {
	if len(list) == 0 {
		return []int{one}
	}
	return list
}

// namesEach bounds how much a store grows while it is written to, and is more
// than a goroutine of the baseline writes in a lap: there, every lost update
// stays lost and is found.
const namesEach = 10

// Shared measures goroutines of several processes that add machines of their
// own at the same time, durably, with the losses. The cost is wall-clock time
// an acknowledged write.
func (b *Bench) Shared() error {
	for _, n := range b.Sizes {
		if n > groupLargest {
			continue
		}
		for _, s := range b.sharedShapes() {
			if err := b.shared(n, s[0], s[1]); err != nil {
				return err
			}
		}
	}
	return nil
}

func (b *Bench) shared(n, processes, goroutines int) error {
	shape := report.Shape{Measure: "shared", Size: n, Processes: processes, Goroutines: goroutines}
	var contenders []lap.Contender
	runs := make(map[string][]together)
	for _, k := range b.kinds(func(k peer.Kind) bool { return adder(k) && k.Processes }) {
		contenders = append(contenders, lap.Contender{Name: k.Name, Lap: func() (float64, error) {
			t, err := b.work(k, workSpec{Size: n, Goroutines: goroutines}, processes)
			if err != nil {
				return 0, err
			}
			runs[k.Name] = append(runs[k.Name], t)
			if t.writes == 0 {
				return 0, fmt.Errorf("no write was acknowledged; %d errors, the first: %s", t.errors, t.first)
			}
			return float64(t.wall) / float64(t.writes), nil
		}})
	}
	rows, err := b.race(shape, contenders)
	if err != nil {
		return err
	}
	for _, row := range rows {
		addSharedDetails(row, runs[row.Store])
	}
	if b.wants(peer.Machreg) {
		return b.traceShared(shape)
	}
	return nil
}

// work runs one lap of workers on a fresh copy of a store.
func (b *Bench) work(k peer.Kind, spec workSpec, processes int) (t together, err error) {
	dir, err := b.dir(k, spec.Size)
	if err != nil {
		return t, err
	}
	defer removeAfter(dir, &err)
	spec.Store, spec.Dir, spec.Names, spec.Slice = k.Name, dir, namesEach, b.Slice
	return runTogether(k, spec, processes)
}

func addSharedDetails(row *report.Row, runs []together) {
	var writes, lost, failures, largest int
	var commits uint64
	for _, t := range runs {
		writes += t.writes
		lost += t.lost
		failures += t.errors
		for _, w := range t.workers {
			commits += w.Commits
			largest = max(largest, w.Largest)
		}
	}
	row.Detail("writes", float64(writes))
	row.Detail("lost", float64(lost))
	row.Detail("errors", float64(failures))
	if commits > 0 {
		row.Detail("writes/commit", float64(writes)/float64(commits))
		row.Detail("largest group", float64(largest))
	}
}

// traceShared runs machreg once more and looks at what happened under the
// lock: from the creation of a temporary file to its rename, and from there to
// the next creation, by the same process or by another. In between lie the
// release, the wake-up of who waits, and the reading of what has changed.
func (b *Bench) traceShared(shape report.Shape) error {
	k, err := peer.Find(peer.Machreg)
	if err != nil {
		return err
	}
	t, err := b.work(k, workSpec{Size: shape.Size, Goroutines: shape.Goroutines, Trace: true}, shape.Processes)
	if err != nil {
		return err
	}
	type commit struct {
		peer.Commit
		process int
	}
	var all []commit
	var waited time.Duration
	for p, w := range t.workers {
		waited += w.LockWait
		for _, c := range w.Held {
			all = append(all, commit{c, p})
		}
	}
	slices.SortFunc(all, func(a, b commit) int { return cmp.Compare(a.Created, b.Created) })
	var held, same, other, synced lap.Series
	for i, c := range all {
		held = append(held, float64(c.Renamed-c.Created))
		synced = append(synced, float64(c.Synced-c.Renamed))
		if i == 0 {
			continue
		}
		gap := float64(c.Created - all[i-1].Renamed)
		if c.process == all[i-1].process {
			same = append(same, gap)
		} else {
			other = append(other, gap)
		}
	}
	row := b.Report.Find(shape, peer.Machreg)
	row.Detail("create to rename µs", held.Median()/1e3)
	row.Detail("directory sync µs", synced.Median()/1e3)
	row.Detail("gap same process µs", same.Median()/1e3)
	row.Detail("gap other process µs", other.Median()/1e3)
	row.Detail("handed over %", 100*float64(len(other))/float64(max(len(all)-1, 1)))
	row.Detail("between create and rename %", 100*sum(held)/float64(t.wall))
	row.Detail("lock wait µs", float64(waited)/1e3/float64(max(len(all), 1)))
	return nil
}

func sum(s lap.Series) (total float64) {
	for _, x := range s {
		total += x
	}
	return total
}
