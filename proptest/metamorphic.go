package proptest

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"pgregory.net/rapid"

	"github.com/machreg/machreg/registry"
)

// Combinations are the ways to open this module's registry that must not make
// a difference to what it does: by name, all combinations of the options that
// say how.
func Combinations() map[string]New {
	all := make(map[string]New)
	for _, durable := range []registry.SyncPolicy{registry.SyncFull, registry.SyncNone} {
		for _, refresh := range []registry.RefreshPolicy{registry.RefreshWatch, registry.RefreshPoll, registry.RefreshNever} {
			for _, page := range []registry.PagePolicy{registry.PageAuto, registry.PageOff} {
				for _, group := range []int{0, 1} {
					o := registry.Options{Sync: durable, Refresh: refresh, Page: page, GroupLimit: group}
					name := fmt.Sprintf("sync %d, refresh %d, page %d, group limit %d", durable, refresh, page, group)
					all[name+", machines"] = Machines(&o)
					all[name+", generic"] = Generic(&o)
				}
			}
		}
	}
	return all
}

// SameResults is the property that one sequence of commands has the same
// results, and leaves the same file byte for byte, with all subjects, which must
// be able to do what this module's can; and that it does not matter whether the
// handles of the sequence are opened in different ways. Ways that take no writes
// or have a MaxSize are left out.
func SameResults(subjects map[string]New, ways ...Way) func(*rapid.T) {
	var writing []string
	for _, w := range ways {
		if !w.ReadOnly && w.MaxSize == 0 {
			writing = append(writing, w.Name)
		}
	}
	return func(t *rapid.T) {
		commands := rapid.SliceOfN(commandGen, 1, 12).Draw(t, "commands")
		var first, firstName string
		compare := func(name string, opens [2]New) {
			got, err := trace(opens, commands)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if first == "" {
				first, firstName = got, name
			}
			if got != first {
				t.Fatalf("results differ\n%s:\n%s\n%s:\n%s", firstName, first, name, got)
			}
		}
		for _, name := range slices.Sorted(maps.Keys(subjects)) {
			compare(name, [2]New{subjects[name], subjects[name]})
		}
		if writing == nil {
			return
		}
		const mixed = 16 // pairs
		for range mixed {
			var opens [2]New
			var names [2]string
			for i := range opens {
				names[i] = rapid.SampledFrom(writing).Draw(t, "way")
				opens[i], _ = find(ways, names[i], nil)
			}
			compare(strings.Join(names[:], " with "), opens)
		}
	}
}

// command is plain data, so that it can be given to several subjects.
type command struct {
	Kind    string
	Handle  int
	Machine registry.Machine
	Cond    string
}

var commandGen = rapid.Custom(func(t *rapid.T) command {
	c := command{
		Kind:    rapid.SampledFrom([]string{"put", "put", "delete", "burst", "transaction", "update", "latest", "refresh"}).Draw(t, "kind"),
		Handle:  rapid.IntRange(0, 1).Draw(t, "handle"),
		Machine: rapid.OneOf(machineGen, machineGen, machineGen, badGen, unsafeGen).Draw(t, "machine"),
	}
	c.Cond = rapid.SampledFrom([]string{"", "", "absent", "at"}).Draw(t, "condition")
	return c
})

// trace performs commands on two handles of one registry and writes down what
// comes of each, and the file at the end.
func trace(opens [2]New, commands []command) (_ string, err error) {
	dir, err := os.MkdirTemp("", "machreg-proptest-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	var handles [2]Subject
	for i, open := range opens {
		if handles[i], err = open(dir); err != nil {
			return "", err
		}
		defer closeSubject(handles[i])
	}
	var out strings.Builder
	for _, c := range commands {
		h := handles[c.Handle]
		r, err := c.perform(h)
		// A plain read may be old before this, by as much as the options say.
		view, lerr := h.(Latest).Latest()
		if lerr != nil {
			return "", lerr
		}
		fmt.Fprintf(&out, "%+v: %d, %v, then %d:", c, r, orOK(classOf(err)), view.Revision())
		for _, m := range h.List() {
			fmt.Fprintf(&out, " %+q", m)
		}
		out.WriteString("\n")
	}
	data, err := os.ReadFile(filepath.Join(dir, FileName))
	if err != nil && !os.IsNotExist(err) {
		return "", err
	}
	out.Write(data)
	return out.String(), nil
}

func (c command) perform(h Subject) (registry.Revision, error) {
	v := h.(Versioned)
	var cond Condition
	switch c.Cond {
	case "absent":
		cond.Absent = true
	case "at": // of the newest, or it would depend on how fresh the handle is
		view, err := h.(Latest).Latest()
		if err != nil {
			return 0, err
		}
		r := view.Revision() - registry.Revision(len(c.Machine.Type)%2)
		cond.At = &r
	}
	change := func(tx Tx) error {
		m, _ := tx.Get(names[0])
		to := c.Machine
		to.KeyPath += m.TownPath
		return tx.Put(to)
	}
	switch c.Kind {
	case "put":
		return v.Put(c.Machine, cond)
	case "burst":
		return 0, c.burst(h)
	case "delete":
		return v.Delete(c.Machine.Name, cond)
	case "transaction":
		if err := h.(Refresher).Refresh(); err != nil {
			return 0, err
		}
		tx := h.(Transactional).Begin()
		if err := change(tx); err != nil {
			return 0, err
		}
		return tx.Commit()
	case "update":
		return h.(Transactional).Update(change)
	case "refresh":
		return 0, h.(Refresher).Refresh()
	}
	return 0, nil
}

// burst writes several machines at once, which may share a commit. Which gets
// which revision is up to chance; that there are so many of them is not.
func (c command) burst(h Subject) error {
	errs := make([]error, 5)
	var writers sync.WaitGroup
	for i := range errs {
		writers.Go(func() {
			m := c.Machine
			m.Name += fmt.Sprint("-", i)
			errs[i] = h.Add(m)
		})
	}
	writers.Wait()
	return errors.Join(errs...)
}
