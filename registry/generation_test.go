package registry_test

import (
	"context"
	"fmt"
	"runtime"
	"strconv"
	"testing"

	"github.com/machreg/machreg/registry"
)

// generation is a value that one writer gives one of its machines: like
// machineOf, but with a number in it.
func generation(name string, n int) registry.Machine {
	m := machineOf(fmt.Sprintf("%s/%d", name, n))
	m.Name, m.KeyPath = name, strconv.Itoa(n)
	return m
}

// generationOf returns the number, or an error if m is not whole.
func generationOf(m registry.Machine) (int, error) {
	n, err := strconv.Atoi(m.KeyPath)
	if err == nil && m != generation(m.Name, n) {
		err = fmt.Errorf("mixed value %+v", m)
	}
	return n, err
}

const generations = 8 // machines that roleGenerate writes together

// roleGenerate writes one generation after the other of all its machines, each
// in one transaction, and reports it, until it is killed.
var roleGenerate = program("generate", func(args []string) error {
	r, err := registry.OpenMachines(args[0], nil)
	if err != nil {
		return err
	}
	for {
		var n int
		_, err := r.Update(context.Background(), func(tx *registry.Tx[registry.Machine]) error {
			if m, err := tx.Get("g-0"); err == nil {
				n, _ = generationOf(m)
			}
			n++
			for i := range generations {
				name := fmt.Sprintf("g-%d", i)
				if err := tx.Put(name, generation(name, n)); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		fmt.Printf("generation %d\n", n)
	}
})

// readGenerations reads until done and demands that revisions and every
// writer's generations only grow, and that no value is a mixture.
func readGenerations(t *testing.T, r *registry.MachineRegistry, writers int, done <-chan struct{}) {
	var last registry.Revision
	seen := make(map[string]int)
	for reads := 0; ; reads++ {
		select {
		case <-done:
			return
		default:
		}
		runtime.Gosched() // the writers need a processor too
		snap := r.Snapshot()
		if snap.Revision() < last {
			t.Errorf("revision %d after %d", snap.Revision(), last)
			return
		}
		last = snap.Revision()
		if snap.Len() != writers+1 {
			t.Errorf("%d machines, want %d", snap.Len(), writers+1)
			return
		}
		sum := writers // revision at which all generations were 0
		for name, m := range snap.All() {
			if name == registry.LocalName {
				continue
			}
			n, err := generationOf(m)
			if err != nil || n < seen[name] {
				t.Errorf("%q is of generation %d after %d: %v", name, n, seen[name], err)
				return
			}
			seen[name] = n
			sum += n
		}
		// Each write is one generation of one machine.
		if registry.Revision(sum) != last {
			t.Errorf("revision %d holds the writes of revision %d", last, sum)
			return
		}
	}
}
