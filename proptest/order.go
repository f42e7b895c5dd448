package proptest

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/machreg/machreg/registry"
)

// checkOrder judges a history by the order that its own revisions give it. An
// acknowledged write says which revision it is, so there is only one order to
// look at, and the verdict is exact for whole-registry operations too, in
// O(n log n):
//
//  1. The revisions of the writes are those that follow on the first state,
//     without a gap and without one given twice.
//  2. Applied in that order, each write finds what its conditions and its
//     transaction's reads say: transactions are serializable in commit order.
//  3. A write or Latest that begins after something of revision r was returned
//     anywhere is of a higher revision, or at least of r for a read.
//  4. A view is the state of its revision; a plain read that of a revision that
//     its handle was at meanwhile.
//  5. A handle's revisions only grow, and are not below its own acknowledged
//     writes.
//  6. A refused write could have been refused so at some moment between its
//     call and its return.
func (h *History) checkOrder() error {
	o := order{h: h}
	if err := o.replay(); err != nil {
		return err
	}
	if err := o.realTime(); err != nil {
		return err
	}
	for i := range h.Ops {
		if err := o.contents(&h.Ops[i]); err != nil {
			return err
		}
	}
	return o.perHandle()
}

type order struct {
	h      *History
	states []map[string]string // from h.Revision on
	lo, hi []registry.Revision // by operation: what it can have met
}

func (o *order) last() registry.Revision {
	return o.h.Revision + registry.Revision(len(o.states)-1)
}

// at is the state of revision r, and whether there is one.
func (o *order) at(r registry.Revision) (map[string]string, bool) {
	if r < o.h.Revision || r > o.last() {
		return nil, false
	}
	return o.states[r-o.h.Revision], true
}

func (o *Op) String() string {
	s := fmt.Sprintf("client %d on handle %d: %s %s writes %v", o.Client, o.Handle, o.Kind, o.Name, o.Writes)
	if o.Reads != nil {
		s += fmt.Sprintf(" reads %v", o.Reads)
	}
	if o.At != nil {
		s += fmt.Sprintf(" at %d", *o.At)
	}
	if o.Class != "" {
		s += " -> " + o.Class
	}
	return s + fmt.Sprintf(" (revision %d, plain %d to %d, time %d to %d)", o.Revision, o.Before, o.After, o.Call, o.Return)
}

// expected are the ways in which an operation of a workload may be refused.
var expected = map[class]bool{ok: true, notFound: true, exists: true, conflict: true}

// sound refuses what no operation may return.
func (h *History) sound() error {
	for i := range h.Ops {
		op := &h.Ops[i]
		if op.ReadOnly && op.applied() {
			return fmt.Errorf("a handle that is open for reading only has written: %v", op)
		}
		if !expected[class(op.Class)] && !(op.ReadOnly && class(op.Class) == readOnly) {
			return fmt.Errorf("an operation failed: %v: %s", op, op.Error)
		}
		for name, id := range op.Reads {
			if len(id) > len(mixed) && id[:len(mixed)] == mixed {
				return fmt.Errorf("%q was read as something that nobody wrote: %v", name, op)
			}
		}
	}
	return nil
}

func (o *order) replay() error {
	var writes []*Op
	for i := range o.h.Ops {
		if op := &o.h.Ops[i]; op.applied() {
			writes = append(writes, op)
		}
	}
	slices.SortFunc(writes, func(a, b *Op) int { return cmp.Compare(a.Revision, b.Revision) })
	now := make(map[string]string)
	maps.Copy(now, o.h.State)
	o.states = append(o.states, maps.Clone(now))
	if o.h.Edited { // which the first commit, if there is one, gives a revision
		o.states = append(o.states, maps.Clone(now))
	}
	for _, w := range writes {
		switch want := o.last() + 1; {
		case w.Revision < want:
			return fmt.Errorf("revision %d was given to two writes, or was there before: %v", w.Revision, w)
		case w.Revision > want:
			return fmt.Errorf("revision %d is no acknowledged write's; the next is %v", want, w)
		}
		if why := w.refusal(now, o.last()); why != "" {
			return fmt.Errorf("write was applied as revision %d although %s: %v", w.Revision, why, w)
		}
		for name, id := range w.Writes {
			if id == "" {
				delete(now, name)
			} else {
				now[name] = id
			}
		}
		o.states = append(o.states, maps.Clone(now))
	}
	return nil
}

// refusal is why a write must not be applied to a state, or empty.
func (o *Op) refusal(s map[string]string, r registry.Revision) string {
	switch {
	case o.Absent && s[o.Name] != "":
		return fmt.Sprintf("%q was there", o.Name)
	case o.At != nil && *o.At != r:
		return fmt.Sprintf("the registry was at revision %d", r)
	case o.Kind == Remove && s[o.Name] == "":
		return fmt.Sprintf("%q was not there", o.Name)
	}
	return o.staleRead(s)
}

// staleRead is which of a transaction's reads does not hold in s.
func (o *Op) staleRead(s map[string]string) string {
	for name, id := range o.Reads {
		if s[name] != id {
			return fmt.Sprintf("it had read %q as %q and it was %q", name, id, s[name])
		}
	}
	if o.Ranged && len(o.Reads) != len(s) {
		return fmt.Sprintf("it had read %v as all there is, and there was %v", o.Reads, s)
	}
	return ""
}

// seen is the highest revision that an operation has shown to exist.
func (o *Op) seen() registry.Revision { return max(o.Revision, o.After) }

// realTime works out what each operation can have met, and requires that what
// it did agrees.
func (o *order) realTime() error {
	ops := o.h.Ops
	o.lo, o.hi = make([]registry.Revision, len(ops)), make([]registry.Revision, len(ops))
	byCall, byReturn := make([]int, len(ops)), make([]int, len(ops))
	for i := range ops {
		byCall[i], byReturn[i] = i, i
	}
	slices.SortFunc(byCall, func(a, b int) int { return cmp.Compare(ops[a].Call, ops[b].Call) })
	slices.SortFunc(byReturn, func(a, b int) int { return cmp.Compare(ops[a].Return, ops[b].Return) })

	newest, next := o.h.Revision, 0
	for _, i := range byCall {
		for next < len(ops) && ops[byReturn[next]].Return < ops[i].Call {
			newest = max(newest, ops[byReturn[next]].seen())
			next++
		}
		o.lo[i] = newest
	}
	oldest, next := registry.Revision(math.MaxUint64), len(ops)-1
	for _, i := range slices.Backward(byReturn) {
		for next >= 0 && ops[byCall[next]].Call > ops[i].Return {
			if w := &ops[byCall[next]]; w.applied() {
				oldest = min(oldest, w.Revision)
			}
			next--
		}
		o.hi[i] = min(oldest-1, o.last())
	}

	for i := range ops {
		op := &ops[i]
		switch lo := o.lo[i]; {
		case op.applied() && op.Revision <= lo:
			return fmt.Errorf("a write became revision %d although %d was there before it began: %v", op.Revision, lo, op)
		case (op.Kind == ReadNew || op.Kind == Final) && op.Revision < lo:
			return fmt.Errorf("a read of revision %d although %d was there before it began: %v", op.Revision, lo, op)
		case op.Kind == Refresh && op.After < lo:
			return fmt.Errorf("a refresh arrived at revision %d although %d was there before it began: %v", op.After, lo, op)
		}
		if op.seen() > o.last() {
			return fmt.Errorf("revision %d was seen, but the last write is %d: %v", op.seen(), o.last(), op)
		}
		if op.Class != "" && !o.refusable(op, o.lo[i], o.hi[i]) {
			return fmt.Errorf("refused, although at no revision from %d to %d it had to be: %v", o.lo[i], o.hi[i], op)
		}
	}
	return nil
}

// refusable reports whether a refusal is right at some revision between.
func (o *order) refusable(op *Op, lo, hi registry.Revision) bool {
	for r := lo; r <= hi; r++ {
		s, _ := o.at(r)
		held := op.At == nil || *op.At == r && !(o.h.Edited && r == o.h.Revision)
		switch class(op.Class) {
		case readOnly:
			return true
		case notFound:
			if held && s[op.Name] == "" {
				return true
			}
		case exists:
			if held && s[op.Name] != "" {
				return true
			}
		case conflict:
			if !held || op.At == nil && op.staleRead(s) != "" {
				return true
			}
		}
	}
	return false
}

// contents compares what was read with the revision it was read at.
func (o *order) contents(op *Op) error {
	switch op.Kind {
	case Snapshot, ReadNew, Final:
		if s, there := o.at(op.Revision); !there {
			return fmt.Errorf("there is no revision %d: %v", op.Revision, op)
		} else if !maps.Equal(op.Reads, s) {
			return fmt.Errorf("revision %d is %v: %v", op.Revision, s, op)
		}
	case Commit:
		if op.Class != string(conflict) {
			return nil
		}
		if s, there := o.at(op.Revision); !there {
			return fmt.Errorf("there is no revision %d: %v", op.Revision, op)
		} else if why := op.staleRead(s); why != "" {
			return fmt.Errorf("a transaction on revision %d did not read it: %s: %v", op.Revision, why, op)
		}
	case Get, List:
		for r := op.Before; r <= op.After; r++ {
			s, there := o.at(r)
			if there && op.staleRead(s) == "" {
				return nil
			}
		}
		return fmt.Errorf("no revision from %d to %d holds that: %v", op.Before, op.After, op)
	}
	return nil
}

// perHandle requires that what a handle shows only gets newer.
func (o *order) perHandle() error {
	handles := make(map[int][]*Op)
	for i := range o.h.Ops {
		op := &o.h.Ops[i]
		handles[op.Handle] = append(handles[op.Handle], op)
	}
	for _, ops := range handles {
		byReturn := slices.SortedFunc(slices.Values(ops), func(a, b *Op) int { return cmp.Compare(a.Return, b.Return) })
		slices.SortFunc(ops, func(a, b *Op) int { return cmp.Compare(a.Call, b.Call) })
		var newest registry.Revision
		for _, op := range ops {
			for len(byReturn) > 0 && byReturn[0].Return < op.Call {
				newest = max(newest, byReturn[0].seen())
				byReturn = byReturn[1:]
			}
			from := op.Revision
			switch op.Kind {
			case Get, List:
				from = op.Before
			case Refresh:
				from = op.After
			case Add, Remove, Update:
				continue
			}
			if from < newest {
				return fmt.Errorf("the handle was at revision %d, and had shown %d before: %v", from, newest, op)
			}
		}
	}
	return nil
}
