package proptest

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"

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
	add(w.file != "" && !w.tolerated[UncheckedEntries], "thousands of bad entries", w.cmdThousands)
	add(true, "large values", w.cmdLarge)
	add(w.moves, "becomes a link", w.cmdBecomeLink)
	add(w.moves, "link turned", w.cmdTurnLink)
	add(w.moves, "link dangles", w.cmdDangle)
	add(w.moves, "taken away", w.cmdTakeAway)
	add(w.moves, "becomes a directory", w.cmdBecomeDirectory)
	add(w.moves, "directory moved", w.cmdMoveDirectory)
	add(w.moves, "directory turned", w.cmdTurnDirectory)
	return all
}

// write performs one write through h and then holds it to the model. effect
// applies the write to the content it is given and says what has to come of it;
// it is not called while the file cannot be used. perform returns revision 0
// where there are none.
func (w *world) write(t *rapid.T, h *handle, what string, effect func(content) (class, change), perform func() (registry.Revision, error)) class {
	before, err := stampOfFile(w.path)
	if err != nil {
		t.Fatalf("file: %v", err)
	}
	want, changes := w.unusable(h), same
	if h.way.ReadOnly {
		want = readOnly
	}
	usable := want == ok
	r, err := perform()
	got := classOf(err)
	after, serr := stampOfFile(w.path)
	if serr != nil {
		t.Fatalf("file: %v", serr)
	}
	rewritten := w.file != "" && replaced(before, after)
	next := w.now.clone()
	if usable {
		want, changes = effect(next)
	}
	if usable && want == ok && got == other && h.way.MaxSize > 0 {
		w.wantTooLarge(t, h, what, next, err)
		want = other
	}
	switch {
	case !usable:
		w.wantUnusable(t, what, want, err)
	case got != want:
		t.Fatalf("%v: %s: %v, want %s", h, what, err, orOK(want))
	}
	// A commit settles what something else wrote, also one whose writes found
	// that they had nothing to change, or a conflict.
	settles := usable && (want == ok || want == conflict || want == exists)
	least, most := 0, 0 // revisions
	if settles && w.mark == unsettled {
		least++
	}
	if settles && (w.mark != settled || w.guessed) { // a handle may have counted further
		most++
	}
	if want == ok && changes == changed {
		least++
	}
	if want == ok && changes != same {
		most++
	}
	anew := rewritten && want == ok && changes != changed && least == 0 && !h.way.Unsynced && w.commitsOnly &&
		(w.moves || w.onDisk == nil || replaced(w.onDisk, before)) && w.revisionInFile(t) <= max(w.revision, h.newest)
	switch {
	case rewritten && h.way.Unsynced:
		w.onDisk = nil
	case rewritten:
		w.onDisk = after
	}
	if anew {
		w.now.complete()
		w.revision = max(w.revision, w.revisionInFile(t))
		w.applied(t, h, what, r)
		return want
	}
	switch tolerated := w.tolerated[IdenticalWrite] && want == ok; {
	case rewritten && most == 0 && !tolerated:
		t.Fatalf("%v: %s changed nothing (%s), but the file was written", h, what, orOK(want))
	case w.file != "" && !rewritten && least > 0:
		t.Fatalf("%v: %s: %s, but the file was not written", h, what, orOK(want))
	case rewritten && h.way.MaxSize > 0 && after.Size() > h.way.MaxSize:
		t.Fatalf("%v: %s wrote %d bytes, and may write %d", h, what, after.Size(), h.way.MaxSize)
	}
	if !rewritten && (w.file != "" || changes == same) {
		if want == ok {
			w.applied(t, h, what, r)
		}
		return want
	}
	base := w.revision
	if want != ok { // it settled an edit, and the file says as what
		w.commit(w.now.clone())
		w.revision = w.revisionInFile(t)
		if w.exact() && w.revision != base+1 {
			t.Fatalf("%v: %s settled an edit on revision %d as %d", h, what, base, w.revision)
		}
	} else {
		w.commit(next)
		w.revision++
		if _, is := h.Subject.(Versioned); is {
			w.revision = r
			if r <= h.newest {
				t.Fatalf("%v: %s was applied as revision %d, after %d", h, what, r, h.newest)
			}
			if w.exact() && (r < base+registry.Revision(max(least, 1)) || r > base+registry.Revision(most)) {
				t.Fatalf("%v: %s returned revision %d on revision %d, want %d to %d more", h, what, r, base, max(least, 1), most)
			}
		}
	}
	if _, is := h.Subject.(Versioned); is {
		w.ours, w.claimed = true, w.revision
	}
	if w.exact() {
		if w.revision > base+1 { // the edit that it settled
			w.revisions[base+1] = w.versions[w.last()-1]
		}
		w.revisions[w.revision] = w.current()
	}
	w.mark = settled
	if want == ok {
		w.applied(t, h, what, r)
	}
	return want
}

// revisionInFile is what the file says of itself.
func (w *world) revisionInFile(t *rapid.T) (r registry.Revision) {
	data, err := os.ReadFile(w.path)
	if err == nil {
		var p parsedFile
		if p, err = parseFile(data); err == nil {
			err = json.Unmarshal(p.members["revision"], &r)
		}
	}
	if err != nil {
		t.Fatalf("file: %v", err)
	}
	return r
}

// wantTooLarge requires that err is right in saying that next is too large for h.
func (w *world) wantTooLarge(t *rapid.T, h *handle, what string, next content, err error) {
	const form = 1 << 10 // what else is in a file, at most
	size := form
	for name, e := range next.entries {
		size += len(quote(name)) + len(e.spell("")) + 64
		for member, value := range e.rest {
			size += len(member) + len(value) + 8
		}
	}
	for name, value := range next.members {
		size += len(name) + len(value) + 8
	}
	if !strings.Contains(err.Error(), "limit") || int64(size) <= h.way.MaxSize {
		t.Fatalf("%v: %s: %v, but %d bytes at most are no more than %d", h, what, err, size, h.way.MaxSize)
	}
}

// commit makes next what there is now.
func (w *world) commit(next content) {
	next.complete()
	if w.tolerated[UnknownMembers] {
		next.forget()
	}
	w.now, w.committed = next, next.clone()
	w.versions = append(w.versions, next.visible())
	w.written, w.published = w.file != "", w.last()
}

// applied is what a writer may rely on after an acknowledged write.
func (w *world) applied(t *rapid.T, h *handle, what string, r registry.Revision) {
	h.low, h.astray = w.last(), followed
	if _, is := h.Subject.(Versioned); !is {
		return
	}
	if w.exact() && r != w.revision {
		t.Fatalf("%v: %s returned revision %d, want %d", h, what, r, w.revision)
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
	if err := h.Add(m); classOf(err) != invalid && !h.refuses(err) {
		t.Fatalf("%v: add %+v: %v, want %s", h, m, err, invalid)
	}
	if after, _ := stampOfFile(w.path); w.file != "" && replaced(before, after) {
		t.Fatalf("%v: add %+v was refused, but the file was written", h, m)
	}
}

// refuses reports whether err is what a handle that is open for reading only
// says to every write.
func (h *handle) refuses(err error) bool { return h.way.ReadOnly && classOf(err) == readOnly }

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
		if err := h.Remove(name); classOf(err) != builtin && !h.refuses(err) {
			t.Fatalf("%v: remove %q: %v, want %s", h, name, err, builtin)
		}
		return
	}
	w.write(t, h, "remove "+name, removing(name), func() (registry.Revision, error) { return plainDelete(h, name) })
}

func (w *world) cmdOpen(t *rapid.T) {
	if w.broken == missing {
		t.Skip("opened again it would be an empty one")
	}
	for slot, h := range w.handles {
		if h == nil {
			w.openHandle(t, slot, w.drawWay(t, func(Way) bool { return true }))
			return
		}
	}
	t.Skip("all handles are open")
}

// cmdClose closes a handle, and opens another if that was the last.
func (w *world) cmdClose(t *rapid.T) {
	h := w.pick(t)
	last := !slices.ContainsFunc(w.handles, func(o *handle) bool { return o != nil && o != h })
	if last && w.broken != ok {
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
		w.openHandle(t, h.number, w.drawWay(t, func(way Way) bool { return way.MaxSize == 0 }))
	}
}

func (w *world) cmdRefresh(t *rapid.T) {
	h := w.pick(t)
	err := h.Subject.(Refresher).Refresh()
	if refused := w.unusable(h); refused != ok {
		w.wantUnusable(t, "refresh", refused, err)
		return
	}
	if err != nil {
		t.Fatalf("%v: refresh: %v", h, err)
	}
	h.low = w.last()
	if h.astray == turned {
		h.astray = followed
	}
}

func (w *world) cmdLatest(t *rapid.T) {
	h := w.pick(t)
	v, err := h.Subject.(Latest).Latest()
	w.sawLatest(t, h, "Latest", v, err)
}

func (w *world) cmdAtLeast(t *rapid.T) {
	h := w.pick(t)
	if !w.exact() {
		t.Skip("handles count foreign writes each for itself")
	}
	if w.unusable(h) != ok {
		t.Skip("would wait for the repair")
	}
	r := registry.Revision(rapid.Uint64Range(0, uint64(w.revision)).Draw(t, "revision"))
	v, err := h.Subject.(Latest).AtLeast(r)
	w.sawLatest(t, h, "AtLeast", v, err)
	if v.Revision() < r {
		t.Fatalf("%v: AtLeast(%d) has revision %d", h, r, v.Revision())
	}
}

// sawLatest requires that v has the last write by the subject. While the file
// cannot be used, or has come to be elsewhere, a handle may know it or not.
func (w *world) sawLatest(t *rapid.T, h *handle, what string, v View, err error) {
	if refused := w.unusable(h); refused != ok && err != nil {
		w.wantUnusable(t, what, refused, err)
		return
	}
	if err != nil {
		t.Fatalf("%v: %s: %v", h, what, err)
	}
	if h.astray == followed {
		h.low = max(h.low, w.published)
	}
	w.sees(t, h, what, viewState(t, v))
	w.checkView(t, h, what, v)
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
	resolved, err := filepath.EvalSymlinks(w.path)
	if err != nil {
		resolved = w.path
	}
	files, err := filepath.Glob(filepath.Join(filepath.Dir(resolved), ".gastown", "locks", "*.lock*"))
	if err != nil {
		t.Fatalf("list lock files: %v", err)
	}
	for _, f := range files {
		if err := os.Remove(f); err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatalf("remove lock file: %v", err)
		}
	}
}
