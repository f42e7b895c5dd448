package proptest

import (
	"errors"
	"os"
	"path/filepath"
	"slices"

	"pgregory.net/rapid"

	"github.com/machreg/machreg/registry"
)

// SequentialProperty is the state machine as a property, for rapid.Check and
// rapid.MakeFuzz: generated commands, one after another, each compared with the
// model. [Run] runs it.
func SequentialProperty(open New, opts ...Option) func(*rapid.T) {
	c := newConfig(opts)
	return func(t *rapid.T) {
		w := newWorld(t, open, c)
		t.Repeat(w.commands())
	}
}

// commands are those that the subject can be given.
func (w *world) commands() map[string]func(*rapid.T) {
	all := map[string]func(*rapid.T){
		"":            w.check,
		"add":         w.cmdAdd,
		"add again":   w.cmdAddAgain,
		"add invalid": w.cmdAddInvalid,
		"remove":      w.cmdRemove,
	}
	add := func(when bool, name string, cmd func(*rapid.T)) {
		if when {
			all[name] = cmd
		}
	}
	can := capabilitiesOf(w.handles[0].Subject)
	add(w.shared, "open", w.cmdOpen)
	add(w.shared && can.closer, "close", w.cmdClose)
	add(can.refresher, "refresh", w.cmdRefresh)
	add(can.latest, "latest", w.cmdLatest)
	add(can.latest && can.versioned, "at least", w.cmdAtLeast)
	add(can.versioned, "add on condition", w.cmdPutIf)
	add(can.versioned, "remove on condition", w.cmdDeleteIf)
	add(can.versioned, "keep snapshot", w.cmdKeep)
	add(can.transactional && can.versioned, "transaction begin", w.cmdBegin)
	add(can.transactional && can.versioned, "transaction step", w.cmdTxStep)
	add(can.transactional && can.versioned, "transaction commit", w.cmdCommit)
	add(can.transactional && can.versioned, "transaction overtaken", w.cmdOvertaken)
	add(can.transactional && can.versioned, "update", w.cmdUpdate)
	add(can.saveBreaker && !w.tolerated[MemoryBeforeSave], "failing save", w.cmdFailingSave)
	add(w.file != "", "baseline writes", w.cmdBaseline)
	add(w.file != "", "edit by hand", w.cmdEdit)
	add(w.file != "", "corrupt", w.cmdCorrupt)
	add(w.file != "", "repair", w.cmdRepair)
	add(w.file != "", "remove lock files", w.cmdRemoveLocks)
	return all
}

// write performs one write through h and then holds it to the model. effect
// applies the write to the content it is given and says what has to come of it;
// it is not called while the file is corrupt. perform returns revision 0 where
// there are none.
func (w *world) write(t *rapid.T, h *handle, what string, effect func(content) (class, change), perform func() (registry.Revision, error)) class {
	before, err := stampOfFile(w.path)
	if err != nil {
		t.Fatalf("file: %v", err)
	}
	r, err := perform()
	got := classOf(err)
	after, serr := stampOfFile(w.path)
	if serr != nil {
		t.Fatalf("file: %v", serr)
	}
	rewritten := w.file != "" && replaced(before, after)
	next := w.now.clone()
	want, changes := corrupt, same
	if !w.broken {
		want, changes = effect(next)
	}
	switch {
	case want == corrupt:
		w.wantCorrupt(t, what, err)
	case got != want:
		t.Fatalf("%v: %s: %v, want %s", h, what, err, orOK(want))
	}
	if want != ok {
		if rewritten {
			t.Fatalf("%v: %s was refused (%v), but the file was written", h, what, err)
		}
		return want
	}
	if changes == maybe { // the file tells
		changes = same
		if rewritten {
			changes = changed
		}
	}
	if changes == same {
		if rewritten && !w.tolerated[IdenticalWrite] {
			t.Fatalf("%v: %s changed nothing, but the file was written", h, what)
		}
		if rewritten {
			w.commit(next)
		}
		w.applied(t, h, what, r)
		return ok
	}
	if w.file != "" && !rewritten {
		t.Fatalf("%v: %s was acknowledged, but the file was not written", h, what)
	}
	w.commit(next)
	w.writes++
	if w.foreign < 0 {
		w.revisions[w.writes] = w.current()
	}
	if _, is := h.Subject.(Versioned); is {
		if r <= h.newest {
			t.Fatalf("%v: %s was applied as revision %d, after %d", h, what, r, h.newest)
		}
		w.ours, w.claimed = true, r
	}
	w.applied(t, h, what, r)
	return ok
}

// commit makes next what there is now.
func (w *world) commit(next content) {
	next.complete()
	if w.tolerated[UnknownMembers] {
		next.forget()
	}
	w.now = next
	w.versions = append(w.versions, next.visible())
	w.written, w.published = w.file != "", w.last()
}

// applied is what a writer may rely on after an acknowledged write.
func (w *world) applied(t *rapid.T, h *handle, what string, r registry.Revision) {
	h.low = w.last()
	if _, is := h.Subject.(Versioned); !is {
		return
	}
	if w.foreign < 0 && r != w.writes {
		t.Fatalf("%v: %s returned revision %d, want %d", h, what, r, w.writes)
	}
	w.checkRevision(t, h, what, r, w.current())
}

func orOK(c class) string {
	if c == ok {
		return "success"
	}
	return string(c)
}

// plainPut returns no revision if the subject has none.
func plainPut(h *handle, m registry.Machine) (registry.Revision, error) {
	if v, is := h.Subject.(Versioned); is {
		return v.Put(m, Condition{})
	}
	return 0, h.Add(m)
}

func plainDelete(h *handle, name string) (registry.Revision, error) {
	if v, is := h.Subject.(Versioned); is {
		return v.Delete(name, Condition{})
	}
	return 0, h.Remove(name)
}

func putting(m registry.Machine) func(content) (class, change) {
	return func(c content) (class, change) { return ok, c.put(m) }
}

func (w *world) cmdAdd(t *rapid.T) {
	h, m := w.pick(t), machineGen.Draw(t, "machine")
	w.write(t, h, "add "+m.Name, putting(m), func() (registry.Revision, error) { return plainPut(h, m) })
}

// cmdAddAgain writes what is there, which is no change.
func (w *world) cmdAddAgain(t *rapid.T) {
	h := w.pick(t)
	m, there := w.current()[nameGen.Draw(t, "name")]
	if !there {
		t.Skip("no such machine")
	}
	w.write(t, h, "add again "+m.Name, putting(m), func() (registry.Revision, error) { return plainPut(h, m) })
}

func (w *world) cmdAddInvalid(t *rapid.T) {
	gen := badGen
	if !w.tolerated[TextChecks] {
		gen = rapid.OneOf(badGen, unsafeGen)
	}
	h, m := w.pick(t), gen.Draw(t, "machine")
	before, _ := stampOfFile(w.path)
	if err := h.Add(m); classOf(err) != invalid {
		t.Fatalf("%v: add %+v: %v, want %s", h, m, err, invalid)
	}
	if after, _ := stampOfFile(w.path); w.file != "" && replaced(before, after) {
		t.Fatalf("%v: add %+v was refused, but the file was written", h, m)
	}
}

func removing(name string) func(content) (class, change) {
	return func(c content) (class, change) {
		if c.remove(name) == same {
			return notFound, same
		}
		return ok, changed
	}
}

func (w *world) cmdRemove(t *rapid.T) {
	h, name := w.pick(t), nameGen.Draw(t, "name")
	if name == registry.LocalName {
		if err := h.Remove(name); classOf(err) != builtin {
			t.Fatalf("%v: remove %q: %v, want %s", h, name, err, builtin)
		}
		return
	}
	w.write(t, h, "remove "+name, removing(name), func() (registry.Revision, error) { return plainDelete(h, name) })
}

func (w *world) cmdOpen(t *rapid.T) {
	for slot, h := range w.handles {
		if h == nil {
			w.openHandle(t, slot)
			return
		}
	}
	t.Skip("all handles are open")
}

// cmdClose closes a handle, and opens another if that was the last.
func (w *world) cmdClose(t *rapid.T) {
	h := w.pick(t)
	last := !slices.ContainsFunc(w.handles, func(o *handle) bool { return o != nil && o != h })
	if last && w.broken {
		t.Skip("none can be opened in its place")
	}
	if err := closeSubject(h.Subject); err != nil {
		t.Fatalf("%v: close: %v", h, err)
	}
	w.handles[h.number] = nil
	var open []*transaction
	for _, tx := range w.transactions {
		if tx.handle != h {
			open = append(open, tx)
		}
	}
	w.transactions = open
	if last {
		w.openHandle(t, h.number)
	}
}

func (w *world) cmdRefresh(t *rapid.T) {
	h := w.pick(t)
	err := h.Subject.(Refresher).Refresh()
	if w.broken {
		w.wantCorrupt(t, "refresh", err)
		return
	}
	if err != nil {
		t.Fatalf("%v: refresh: %v", h, err)
	}
	h.low = w.last()
}

func (w *world) cmdLatest(t *rapid.T) {
	h := w.pick(t)
	v, err := h.Subject.(Latest).Latest()
	w.sawLatest(t, h, "Latest", v, err)
}

func (w *world) cmdAtLeast(t *rapid.T) {
	h := w.pick(t)
	if w.foreign >= 0 {
		t.Skip("handles count foreign writes each for itself")
	}
	if w.broken {
		t.Skip("would wait for the repair")
	}
	r := registry.Revision(rapid.Uint64Range(0, uint64(w.writes)).Draw(t, "revision"))
	v, err := h.Subject.(Latest).AtLeast(r)
	w.sawLatest(t, h, "AtLeast", v, err)
	if v.Revision() < r {
		t.Fatalf("%v: AtLeast(%d) has revision %d", h, r, v.Revision())
	}
}

// sawLatest requires that v has the last write by the subject. While the file
// is corrupt, a handle may know it or not.
func (w *world) sawLatest(t *rapid.T, h *handle, what string, v View, err error) {
	if w.broken && err != nil {
		w.wantCorrupt(t, what, err)
		return
	}
	if err != nil {
		t.Fatalf("%v: %s: %v", h, what, err)
	}
	h.low = max(h.low, w.published)
	w.sees(t, h, what, viewState(t, v))
	w.checkRevision(t, h, what, v.Revision(), viewState(t, v))
	w.keep(t, v)
}

func (w *world) cmdKeep(t *rapid.T) {
	v := w.pick(t).Subject.(Versioned).Snapshot()
	w.keep(t, v)
}

// cmdFailingSave lets a save fail: nothing must come of the write.
func (w *world) cmdFailingSave(t *rapid.T) {
	h, m := w.pick(t), machineGen.Draw(t, "machine")
	m.TownPath += "/never"
	mend, err := h.Subject.(SaveBreaker).BreakSaves()
	if err != nil {
		t.Fatalf("%v: make saves fail: %v", h, err)
	}
	_, err = plainPut(h, m)
	mend()
	if err == nil {
		t.Fatalf("%v: add %q was acknowledged although saves fail", h, m.Name)
	}
	// The invariants do the rest: no version ever held this machine.
}

// cmdRemoveLocks removes every lock file, which nobody holds now.
func (w *world) cmdRemoveLocks(t *rapid.T) {
	files, err := filepath.Glob(filepath.Join(w.dir, ".gastown", "locks", "*.lock*"))
	if err != nil {
		t.Fatalf("list lock files: %v", err)
	}
	for _, f := range files {
		if err := os.Remove(f); err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatalf("remove lock file: %v", err)
		}
	}
}
