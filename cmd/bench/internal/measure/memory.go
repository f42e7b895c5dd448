package measure

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/machreg/machreg/cmd/bench/internal/child"
	"github.com/machreg/machreg/cmd/bench/internal/lap"
	"github.com/machreg/machreg/cmd/bench/internal/peer"
	"github.com/machreg/machreg/cmd/bench/internal/report"
)

// roleMemory opens a store and says what that added to the process.
const roleMemory = "memory"

type memorySpec struct{ Store, Dir string }

type memoryResult struct {
	Heap     int64 // bytes that are live after a collection
	Resident int64 // bytes of the process in memory, 0 where it cannot be told
}

func weigh(parent *child.Conn) error {
	var spec memorySpec
	if err := parent.Receive(&spec); err != nil {
		return err
	}
	k, err := peer.Find(spec.Store)
	if err != nil {
		return err
	}
	heap, resident := inUse()
	s, err := k.Open(spec.Dir, peer.Options{})
	if err != nil {
		return err
	}
	if err := verifySome(s); err != nil {
		return err
	}
	heapAfter, residentAfter := inUse()
	if err := parent.Send(memoryResult{heapAfter - heap, residentAfter - resident}); err != nil {
		return err
	}
	return s.Close() // which also keeps it alive until here
}

func verifySome(s peer.Store) error {
	_, err := s.Get("build-0000000")
	return err
}

func inUse() (heap, resident int64) {
	runtime.GC()
	debug.FreeOSMemory()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc), residentNow()
}

// residentNow reads what Linux counts for this process.
func residentNow() int64 {
	f, err := os.Open("/proc/self/status")
	if err != nil {
		return 0
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if rest, ok := strings.CutPrefix(lines.Text(), "VmRSS:"); ok {
			var kib int64
			fmt.Sscan(rest, &kib)
			return kib << 10
		}
	}
	return 0
}

// Memory measures what an open store keeps, a machine: on the Go heap after a
// collection, and, as a detail, in the memory of the process. The floor's
// heap includes the bytes of the file that it writes.
func (b *Bench) Memory() error {
	for _, n := range b.Sizes {
		if n < 1000 {
			continue // the process itself weighs more
		}
		for _, k := range b.kinds(is(peer.Machreg, peer.Baseline, peer.SQLite, "bbolt", "memdb", "lmdb")) {
			if err := b.memory(k, n); err != nil {
				return fmt.Errorf("memory of %s: %w", k.Name, err)
			}
		}
	}
	return nil
}

func (b *Bench) memory(k peer.Kind, n int) (err error) {
	shape := report.Shape{Measure: "memory", Size: n}
	b.Progress("%s: %s", shape, k.Name)
	dir, err := b.dir(k, n)
	if err != nil {
		return err
	}
	defer removeAfter(dir, &err)
	p, err := child.Start(roleMemory, memorySpec{k.Name, dir})
	if err != nil {
		return err
	}
	var res memoryResult
	if err := p.Receive(&res); err != nil {
		return err
	}
	if err := p.Close(); err != nil {
		return err
	}
	size, err := sizeOf(dir)
	if err != nil {
		return err
	}
	row := b.Report.Add(shape, "B", []string{k.Name}, map[string]lap.Series{k.Name: {float64(res.Heap) / float64(n)}}, "", "")[0]
	row.Detail("heap/file", float64(res.Heap)/float64(size))
	row.Detail("resident B", float64(res.Resident)/float64(n))
	row.Detail("file B", float64(size)/float64(n))
	return nil
}

// sizeOf is that of the files of a store, without locks.
func sizeOf(dir string) (total int64, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return 0, err
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			return 0, err
		}
		if info.Mode().IsRegular() && e.Name() != "lock.mdb" {
			total += info.Size()
		}
	}
	return total, nil
}
