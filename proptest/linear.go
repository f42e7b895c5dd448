package proptest

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/anishathalye/porcupine"
)

// The second judge knows nothing of revisions: porcupine looks for any order of
// the operations on one key that explains them. A transaction counts as one
// operation on each of its keys, which an atomic one must satisfy. Plain reads
// are left out, since they may be old.

// access is what one operation does to one key.
type access struct {
	Name string
	// Want is what the key must be; Free that it may be anything, Some that it
	// may be anything but nothing.
	Want       string
	Free, Some bool
	// Write is what it is afterwards, if Writes.
	Write  string
	Writes bool
}

func (a access) String() string {
	s := fmt.Sprintf("%s = %q", a.Name, a.Want)
	switch {
	case a.Free:
		s = a.Name
	case a.Some:
		s = a.Name + " is there"
	}
	if a.Writes {
		s += fmt.Sprintf(" := %q", a.Write)
	}
	return s
}

var register = porcupine.Model{
	Partition: func(history []porcupine.Operation) (parts [][]porcupine.Operation) {
		by := make(map[string][]porcupine.Operation)
		for _, op := range history {
			name := op.Input.(access).Name
			by[name] = append(by[name], op)
		}
		for _, name := range slices.Sorted(maps.Keys(by)) {
			parts = append(parts, by[name])
		}
		return parts
	},
	Init: func() any { return "" },
	Step: func(state, input, _ any) (bool, any) {
		now, a := state.(string), input.(access)
		allowed := a.Free || a.Some && now != "" || !a.Some && now == a.Want
		if a.Writes {
			return allowed, a.Write
		}
		return allowed, now
	},
	DescribeOperation: func(input, _ any) string { return input.(access).String() },
	DescribeState:     func(state any) string { return fmt.Sprintf("%q", state) },
}

// accesses lists what the history does, key by key.
func (h *History) accesses() (all []porcupine.Operation) {
	names := make(map[string]bool)
	first := int64(math.MaxInt64)
	for i := range h.Ops {
		op := &h.Ops[i]
		first = min(first, op.Call)
		names[op.Name] = true
		for name := range op.Reads {
			names[name] = true
		}
		for name := range op.Writes {
			names[name] = true
		}
	}
	delete(names, "")
	for name := range names {
		all = append(all, porcupine.Operation{
			Input: access{Name: name, Free: true, Writes: true, Write: h.State[name]},
			Call:  first - 2, Return: first - 1,
		})
	}
	for i := range h.Ops {
		op := &h.Ops[i]
		for _, a := range op.accesses(names) {
			all = append(all, porcupine.Operation{
				ClientId: op.Client + 1, Input: a, Call: op.Call, Return: op.Return,
				Metadata: op.String(),
			})
		}
	}
	return all
}

func (o *Op) accesses(names map[string]bool) (all []access) {
	switch {
	case o.Kind == ReadNew, o.Kind == Final:
		for name := range names {
			all = append(all, access{Name: name, Want: o.Reads[name]})
		}
	case o.Kind == Get, o.Kind == List, o.Kind == Snapshot, o.Kind == Refresh, o.Class == string(conflict), o.Class == string(readOnly):
	case o.Class == string(notFound):
		all = append(all, access{Name: o.Name})
	case o.Class == string(exists):
		all = append(all, access{Name: o.Name, Some: true})
	case o.Kind == Add:
		all = append(all, access{Name: o.Name, Free: !o.Absent, Writes: true, Write: o.Writes[o.Name]})
	case o.Kind == Remove:
		all = append(all, access{Name: o.Name, Some: true, Writes: true})
	default: // a transaction
		read := make(map[string]string)
		maps.Copy(read, o.Reads)
		if o.Ranged {
			for name := range names {
				read[name] = o.Reads[name]
			}
		}
		for name, id := range read {
			write, writes := o.Writes[name]
			all = append(all, access{Name: name, Want: id, Writes: writes, Write: write})
		}
	}
	return all
}

// checkLinear asks porcupine. It searches for at most a minute, and an answer
// that it does not find is an error: the history was too large.
func (h *History) checkLinear() error {
	switch porcupine.CheckOperationsTimeout(register, h.accesses(), time.Minute) {
	case porcupine.Ok:
		return nil
	case porcupine.Unknown:
		return fmt.Errorf("porcupine found no answer in a minute")
	}
	return fmt.Errorf("not linearizable: no order of the writes and Latest reads explains them")
}

// picture draws the history as a page for a browser.
func (h *History) picture(path string) error {
	_, info := porcupine.CheckOperationsVerbose(register, h.accesses(), 10*time.Second)
	return porcupine.VisualizePath(register, info, path)
}
