package proptest

import (
	"errors"
	"fmt"
	"os"
)

// CountLost lets processes add machines of different names to one registry, all
// at once, and counts the additions that were acknowledged and those of them
// that a new handle does not find when everybody is done. name is the subject's
// in [Main]; open opens it here. Each process has one handle and that many
// goroutines, each of which adds that many machines.
func CountLost(name string, open New, processes, goroutines, adds int) (acknowledged, lost int, err error) {
	dir, err := os.MkdirTemp("", "machreg-proptest-")
	if err != nil {
		return 0, 0, err
	}
	defer os.RemoveAll(dir)
	workers, err := startProcesses(processes, name)
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, workers.stop()) }()
	if err := workers.open(dir, make([]string, processes)); err != nil {
		return 0, 0, err
	}
	plans := make([]Plan, processes)
	for p := range plans {
		plans[p].Steps = make([][]Step, goroutines)
		plans[p].First = p * goroutines
		for g := range goroutines {
			for i := range adds {
				plans[p].Steps[g] = append(plans[p].Steps[g],
					Step{Kind: Add, Name: fmt.Sprintf("m-%d-%d-%d", p, g, i), ID: valueID(0, p*goroutines+g, i)})
			}
		}
	}
	ops, err := workers.run(plans)
	if err != nil {
		return 0, 0, err
	}
	h, err := open(dir)
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, closeSubject(h)) }()
	for _, op := range ops {
		if op.Class != "" {
			continue
		}
		acknowledged++
		if m, err := h.Get(op.Name); err != nil || m != valueOf(op.Name, op.Writes[op.Name]) {
			lost++
		}
	}
	return acknowledged, lost, workers.leave()
}
