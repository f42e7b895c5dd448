package measure

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"time"

	"github.com/machreg/machreg/cmd/bench/internal/child"
	"github.com/machreg/machreg/cmd/bench/internal/fleet"
	"github.com/machreg/machreg/cmd/bench/internal/peer"
	"github.com/machreg/machreg/registry"
)

// roleWork makes reads and writes for a while and reports what was
// acknowledged.
const roleWork = "work"

type workSpec struct {
	Store, Dir string
	Process    int
	Goroutines int
	Size       int // machines that the store was filled with
	Reads      int // percent
	// Names is how many machines of its own each goroutine writes in turns.
	Names int
	Slice time.Duration
	Trace bool
}

type workResult struct {
	Began, Ended int64 // nanoseconds since 1970
	Operations   int
	// Written is the last acknowledged generation of every machine that this
	// process wrote.
	Written map[string]int
	Writes  int // acknowledged
	Errors  int
	First   string // error

	Commits  uint64
	Largest  int
	LockWait time.Duration
	Held     []peer.Commit
}

func writerName(process, goroutine, i int) string {
	return fmt.Sprintf("p%02d-g%03d-%04d", process, goroutine, i)
}

func work(parent *child.Conn) (err error) {
	var spec workSpec
	if err := parent.Receive(&spec); err != nil {
		return err
	}
	o := peer.Options{Writers: spec.Goroutines}
	if spec.Trace {
		o.Trace = peer.NewTrace()
	}
	k, err := peer.Find(spec.Store)
	if err != nil {
		return err
	}
	s, err := k.Open(spec.Dir, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if err := parent.Send("ready"); err != nil {
		return err
	}
	var start string
	if err := parent.Receive(&start); err != nil {
		return err
	}
	res := workFor(s, spec)
	if r, ok := s.(peer.Registry); ok {
		st := r.Stats()
		res.Commits, res.Largest, res.LockWait = st.Commits, st.LargestGroup, st.LockWait
	}
	if o.Trace != nil {
		res.Held = o.Trace.Commits()
	}
	return parent.Send(res)
}

// workFor lets the goroutines of one process work, each for the slice or for one
// operation, whichever takes longer. A read that returns what was never written
// together ends the run.
func workFor(s peer.Store, spec workSpec) workResult {
	a, _ := s.(peer.Adder)
	names := fleet.Lookups(spec.Size)
	res := workResult{Began: time.Now().UnixNano(), Written: make(map[string]int)}
	var mu sync.Mutex // guards res
	var wg sync.WaitGroup
	start := time.Now()
	for g := range spec.Goroutines {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(spec.Process), uint64(g)))
			written := make(map[string]int)
			operations, writes := 0, 0
			var failed error
			for failed == nil && (operations == 0 || time.Since(start) < spec.Slice) {
				if rnd.IntN(100) < spec.Reads {
					name := names[rnd.IntN(len(names))]
					var m fleet.Machine
					if m, failed = s.Get(name); failed == nil && m.Type != "ssh" {
						failed = errWrongValue
					}
				} else {
					name := writerName(spec.Process, g, writes%spec.Names)
					generation := writes
					if failed = a.Add(fleet.Named(name, generation)); failed == nil {
						written[name] = generation
						writes++
					}
				}
				if failed == nil {
					operations++
				}
			}
			mu.Lock()
			defer mu.Unlock()
			res.Operations += operations
			res.Writes += writes
			for name, generation := range written {
				res.Written[name] = generation
			}
			if failed != nil {
				if res.Errors++; res.First == "" {
					res.First = failed.Error()
				}
			}
		})
	}
	wg.Wait()
	res.Ended = time.Now().UnixNano()
	return res
}

// together is what several workers did at the same time.
type together struct {
	workers    []workResult
	operations int
	writes     int
	lost       int // acknowledged writes that are not there
	errors     int
	first      string
	wall       time.Duration
}

// runTogether starts processes on the store in dir, lets them begin at the
// same time, and then looks for every acknowledged write.
func runTogether(k peer.Kind, spec workSpec, processes int) (t together, err error) {
	before, err := revision(k, spec.Dir)
	if err != nil {
		return t, err
	}
	if err := t.run(spec, processes); err != nil {
		return t, err
	}
	return t, t.findLost(k, spec.Dir, before)
}

func (t *together) run(spec workSpec, processes int) (err error) {
	var workers []*child.Process
	defer func() {
		for _, w := range workers {
			err = errors.Join(err, w.Close())
		}
	}()
	for p := range processes {
		spec.Process = p
		w, err := child.Start(roleWork, spec)
		if err != nil {
			return err
		}
		workers = append(workers, w)
	}
	for _, w := range workers {
		var ready string
		if err := w.Receive(&ready); err != nil {
			return err
		}
	}
	for _, w := range workers {
		if err := w.Send("start"); err != nil {
			return err
		}
	}
	var began, ended int64
	for _, w := range workers {
		var res workResult
		if err := w.Receive(&res); err != nil {
			return err
		}
		t.add(res)
		if began == 0 || res.Began < began {
			began = res.Began
		}
		ended = max(ended, res.Ended)
	}
	t.wall = time.Duration(ended - began)
	return nil
}

func (t *together) add(res workResult) {
	t.workers = append(t.workers, res)
	t.operations += res.Operations
	t.writes += res.Writes
	t.errors += res.Errors
	if t.first == "" {
		t.first = res.First
	}
}

// counts is machreg, whose revision says how many writes there were.
var counts = is(peer.Machreg, peer.Unwatched)

// revision is how many writes machreg has counted; other stores do not.
func revision(k peer.Kind, dir string) (uint64, error) {
	if !counts(k) {
		return 0, nil
	}
	r, err := peer.OpenMachreg(dir, &registry.Options{MaxSize: peer.MaxFile, ReadOnly: true, Refresh: registry.RefreshNever})
	if err != nil {
		return 0, err
	}
	return uint64(r.Revision()), r.Close()
}

// findLost compares what is there with what was acknowledged. machreg counts
// its writes as well, so that there a loss is found even if the same machine
// was written again.
func (t *together) findLost(k peer.Kind, dir string, before uint64) (err error) {
	after, err := revision(k, dir)
	if err != nil {
		return err
	}
	if counts(k) && t.errors == 0 && after-before != uint64(t.writes) {
		t.lost += t.writes - int(after-before)
	}
	s, err := k.Open(dir, peer.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	for _, w := range t.workers {
		for name, want := range w.Written {
			m, err := s.Get(name)
			if err != nil {
				t.lost++
				continue
			}
			got, err := fleet.Generation(name, m)
			if err != nil {
				return err
			}
			if got != want {
				t.lost++
			}
		}
	}
	return nil
}

// removeAfter is for directories of stores that are closed.
func removeAfter(dir string, err *error) { *err = errors.Join(*err, os.RemoveAll(dir)) }
