package proptest

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// checkStale judges plain reads where there are no revisions, by time alone: a
// handle must not show a value that was certainly replaced by one that it had
// shown, or written, before. What may have been at the same time is allowed.
func (h *History) checkStale() error {
	v := values{h: h, made: make(map[string][2]int64), removed: make(map[string]int64)}
	v.index()
	handles := make(map[int][]*Op)
	for i := range h.Ops {
		op := &h.Ops[i]
		handles[op.Handle] = append(handles[op.Handle], op)
	}
	for _, ops := range handles {
		slices.SortFunc(ops, func(a, b *Op) int { return cmp.Compare(a.Return, b.Return) })
		for _, op := range ops {
			if op.Kind != Get && op.Kind != List && op.Kind != Final {
				continue
			}
			if err := v.read(op, ops); err != nil {
				return err
			}
		}
	}
	return nil
}

// values knows when each value was made.
type values struct {
	h       *History
	made    map[string][2]int64 // name and id: call and return of its write
	removed map[string]int64    // name: the last return of a removal
}

func (v *values) index() {
	for name, id := range v.h.State {
		v.made[name+id] = [2]int64{math.MinInt64, math.MinInt64}
	}
	for i := range v.h.Ops {
		op := &v.h.Ops[i]
		if !op.applied() {
			continue
		}
		for name, id := range op.Writes {
			if id == "" {
				v.removed[name] = max(v.removed[name], op.Return)
			} else {
				v.made[name+id] = [2]int64{op.Call, op.Return}
			}
		}
	}
}

// read compares one read with what its handle had shown or written before.
func (v *values) read(op *Op, ops []*Op) error {
	for name := range v.namesOf(op) {
		id := op.Reads[name]
		if made, known := v.made[name+id]; id != "" && (!known || made[0] > op.Return) {
			return fmt.Errorf("%q was read as %q, which nobody had written: %v", name, id, op)
		}
		for _, before := range ops {
			if before.Return >= op.Call {
				break // they are sorted by return
			}
			shown, has := before.shown(name)
			if !has || shown == "" || shown == id {
				continue
			}
			since := v.made[name+shown][0]
			gone := v.removed[name] // the last moment at which it can have become nothing
			if id != "" {
				gone = v.made[name+id][1]
			} else if v.removed[name] == 0 {
				gone = math.MinInt64
			}
			if gone < since {
				return fmt.Errorf("%q was read as %q after the handle had shown or written %q, which is newer: %v\nbefore: %v", name, id, shown, op, before)
			}
		}
	}
	return nil
}

// namesOf is which names an operation tells about.
func (v *values) namesOf(op *Op) map[string]bool {
	names := make(map[string]bool)
	for name := range op.Reads {
		names[name] = true
	}
	if op.Ranged {
		for i := range v.h.Ops {
			for name := range v.h.Ops[i].Writes {
				names[name] = true
			}
		}
		for name := range v.h.State {
			names[name] = true
		}
	}
	return names
}

// shown is the value of name that the operation showed its caller, or wrote.
func (o *Op) shown(name string) (string, bool) {
	if o.applied() {
		id, has := o.Writes[name]
		return id, has
	}
	id, has := o.Reads[name]
	return id, has && o.Class == ""
}
