package proptest

import (
	"errors"
	"fmt"

	"pgregory.net/rapid"

	"github.com/machreg/machreg/registry"
)

// condition draws a condition for a write of name through h, and what the model
// says to it.
func (w *world) condition(t *rapid.T, h *handle, name string) (Condition, func(content) class) {
	if rapid.Bool().Draw(t, "if absent") {
		return Condition{Absent: true}, func(c content) class {
			if _, there := c.entries[name]; there || name == registry.LocalName {
				return exists
			}
			return ok
		}
	}
	v := h.Subject.(Versioned)
	view := v.Snapshot()
	seen := view.Revision()
	w.sees(t, h, "Snapshot", viewState(t, view))
	w.checkView(t, h, "Snapshot", view)
	if rapid.IntRange(0, 3).Draw(t, "wrong revision") == 0 {
		// One that is not, and before the first foreign write never was.
		seen += 1 << 20
		return Condition{At: &seen}, func(content) class { return conflict }
	}
	return Condition{At: &seen}, func(content) class {
		switch {
		case w.commitsOnly && w.mark == unsettled:
			return conflict // it has no revision
		case w.exact() && seen != w.revision:
			return conflict
		case w.exact() && w.mark == settled:
			return ok
		case edited(view):
			return undecided // the number is that of what the edit was made on
		case diff(viewState(t, view), w.current()) != "":
			return conflict
		}
		// What was seen is what there is. Whether it is still the same
		// revision depends on what this handle has seen in between.
		return undecided
	}
}

// undecided stands for either success or a conflict.
const undecided class = "undecided"

// conditional performs a write under a condition.
func (w *world) conditional(t *rapid.T, h *handle, what string, holds func(content) class, effect func(content) (class, change), perform func() (registry.Revision, error)) {
	var err error
	w.write(t, h, what, func(c content) (class, change) {
		switch refused := holds(c); {
		case refused == undecided && classOf(err) == conflict:
			return conflict, same
		case refused != undecided && refused != ok:
			return refused, same
		}
		return effect(c)
	}, func() (r registry.Revision, _ error) {
		r, err = perform()
		w.checkConflict(t, h, what, err)
		return r, err
	})
}

// checkConflict requires that a conflict tells the truth about what is there.
func (w *world) checkConflict(t *rapid.T, h *handle, what string, err error) {
	var c *registry.ConflictError[registry.Machine]
	if !errors.As(err, &c) || c.Name == "" {
		return
	}
	m, there := w.current()[c.Name]
	if c.Exists != there || c.Value != m {
		t.Fatalf("%v: %s: the conflict says that %q is %+v (%t), it is %+v (%t)", h, what, c.Name, c.Value, c.Exists, m, there)
	}
	least, most := w.revision, w.revision
	if w.mark == unsettled {
		least++
	}
	if w.mark != settled {
		most++
	}
	if w.exact() && (c.Current < least || c.Current > most) {
		t.Fatalf("%v: %s: the conflict is at revision %d, want %d to %d", h, what, c.Current, least, most)
	}
}

func (w *world) cmdPutIf(t *rapid.T) {
	h, m := w.pick(t), machineGen.Draw(t, "machine")
	cond, holds := w.condition(t, h, m.Name)
	w.conditional(t, h, fmt.Sprintf("add %q on condition", m.Name), holds, putting(m),
		func() (registry.Revision, error) { return h.Subject.(Versioned).Put(m, cond) })
}

func (w *world) cmdDeleteIf(t *rapid.T) {
	h, name := w.pick(t), nameGen.Draw(t, "name")
	if name == registry.LocalName {
		t.Skip("built in")
	}
	cond, holds := w.condition(t, h, name)
	if cond.Absent {
		t.Skip("removing what must not be there")
	}
	w.conditional(t, h, fmt.Sprintf("remove %q on condition", name), holds, removing(name),
		func() (registry.Revision, error) { return h.Subject.(Versioned).Delete(name, cond) })
}
