package proptest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"

	"pgregory.net/rapid"

	"github.com/machreg/machreg/registry"
)

// world is the sequential model and the subject beside it.
//
// What a handle may show is a window on versions: everything from the newest
// that it is known to have seen, up to the last. That holds for a handle that
// watches the file as for one that looks only when told, so that one model
// serves all; what must be exact (after a write, a refresh, Latest) moves the
// beginning of the window to its end.
type world struct {
	config
	open      New
	base      string // the test's directory
	dir, path string // the registry's, as they are given to every handle
	moving           // what dir and path lead to

	handles  []*handle // nil: closed
	baseline Subject   // writes the same file; nil until it is used

	now      content
	versions []state // what readers could see, oldest first
	// published is the version of the last write by the subject, which Latest
	// must show. What something else wrote, it need not.
	published int
	// foreign is the version of the last change by something else, -1 if none.
	foreign int
	// mark is whether what is there is content that no commit published.
	mark mark
	// committed is what the subject wrote last.
	committed content
	// guessed: revisions depend on what each handle has met.
	guessed bool
	// everBad: entries that readers do not see may come between a transaction
	// and its commit.
	everBad bool

	// onDisk is the file as a commit that is synced left it. Where there is
	// another, a write that changes nothing writes it anew: it may not be on disk.
	onDisk os.FileInfo

	revision  registry.Revision // the newest of a commit, as far as it is known
	revisions map[registry.Revision]state

	broken  class // why the file cannot be used now
	corrupt []byte
	mend    func(*rapid.T) // ends that
	written bool           // there is a file
	ours    bool           // the subject wrote it as it is
	claimed registry.Revision

	transactions []*transaction
	views        []keptView
	witness      witness
}

// handle is one handle of the subject and what is known of it.
type handle struct {
	Subject
	way    Way
	number int
	low    int // it must not show anything older than this version
	astray astray
	newest registry.Revision
	seen   map[registry.Revision]state
}

// keptView is a view obtained earlier and what it held then.
type keptView struct {
	view     View
	revision registry.Revision
	state    state
}

// astray says that the path has come to lead elsewhere, and what makes a handle
// notice. Until then Latest may be behind.
type astray int

const (
	followed astray = iota
	turned          // to another file: a refresh notices
	moved           // the same file is elsewhere: a write notices
)

const maxHandles = 3

func newWorld(t *rapid.T, open New, c config) *world {
	dir, err := os.MkdirTemp("", "machreg-proptest-")
	if err != nil {
		t.Fatalf("make a directory for the test: %v", err)
	}
	w := &world{
		config: c, open: open, base: dir, dir: dir,
		handles:   make([]*handle, maxHandles),
		now:       newContent(),
		committed: newContent(),
		foreign:   -1,
		revisions: make(map[registry.Revision]state),
	}
	t.Cleanup(w.close)
	w.layOut(t)
	w.path = filepath.Join(w.dir, c.file)
	w.versions = []state{w.now.visible()}
	w.revisions[0] = w.versions[0]
	w.openHandle(t, 0, w.drawWay(t, func(way Way) bool { return !way.ReadOnly }))
	return w
}

func (w *world) close() {
	w.witness.close()
	for _, h := range w.handles {
		if h != nil {
			closeSubject(h.Subject)
		}
	}
	if w.baseline != nil {
		closeSubject(w.baseline)
	}
	os.RemoveAll(w.base)
}

func closeSubject(s Subject) error {
	if c, is := s.(io.Closer); is {
		return c.Close()
	}
	return nil
}

func (w *world) last() int      { return len(w.versions) - 1 }
func (w *world) current() state { return w.versions[w.last()] }

// exact reports whether every handle gives what it shows the same revision.
func (w *world) exact() bool { return w.foreign < 0 || w.commitsOnly && !w.guessed }

// drawWay draws how a handle is opened.
func (w *world) drawWay(t *rapid.T, allowed func(Way) bool) Way {
	all := make(map[string]Way)
	var names []string
	for _, way := range w.ways {
		if allowed(way) && !(w.moves && way.Fixed) {
			all[way.Name] = way
			names = append(names, way.Name)
		}
	}
	if names == nil {
		return Way{Open: w.open}
	}
	return all[rapid.SampledFrom(names).Draw(t, "way")]
}

// openHandle fills a slot. An opened handle shows what there is now.
func (w *world) openHandle(t *rapid.T, slot int, way Way) {
	h := &handle{way: way, number: slot, low: w.last(), seen: make(map[registry.Revision]state)}
	s, err := way.Open(w.dir)
	if refused := w.unusable(h); refused != ok {
		if err == nil {
			closeSubject(s)
		}
		w.wantUnusable(t, "open", refused, err)
		return
	}
	if err != nil {
		t.Fatalf("open (%s): %v", way.Name, err)
	}
	h.Subject = s
	w.handles[slot] = h
}

// unusable is why h cannot read the file that is there, or nothing.
func (w *world) unusable(h *handle) class {
	if h.way.MaxSize == 0 {
		return w.broken
	}
	if info, err := os.Stat(w.path); err == nil && info.Mode().IsRegular() && info.Size() > h.way.MaxSize {
		return other
	}
	return w.broken
}

// pick draws an open handle. There always is one.
func (w *world) pick(t *rapid.T) *handle {
	var opened []*handle
	for _, h := range w.handles {
		if h != nil {
			opened = append(opened, h)
		}
	}
	return opened[rapid.IntRange(0, len(opened)-1).Draw(t, "handle")]
}

func (h *handle) String() string {
	if h.way.Name == "" {
		return fmt.Sprintf("handle %d", h.number)
	}
	return fmt.Sprintf("handle %d (%s)", h.number, h.way.Name)
}

// advance moves the window of h to the first version from low on that passes,
// and reports whether there is one.
func (w *world) advance(h *handle, passes func(state) bool) bool {
	for i := h.low; i < len(w.versions); i++ {
		if passes(w.versions[i]) {
			h.low = i
			return true
		}
	}
	return false
}

// sees requires that got is a version that h may show.
func (w *world) sees(t *rapid.T, h *handle, what string, got state) {
	if !w.advance(h, func(s state) bool { return diff(got, s) == "" }) {
		t.Fatalf("%v: %s is not a version from %d to %d of the registry; against the last: %s",
			h, what, h.low, w.last(), diff(got, w.current()))
	}
}

// check is what must hold between any two commands.
func (w *world) check(t *rapid.T) {
	for _, h := range w.handles {
		if h != nil {
			w.checkHandle(t, h)
		}
	}
	for _, k := range w.views {
		if k.view.Revision() != k.revision {
			t.Fatalf("a view of revision %d says that it is of %d now", k.revision, k.view.Revision())
		}
		if d := diff(viewState(t, k.view), k.state); d != "" {
			t.Fatalf("a view of revision %d changed after it was handed out: %s", k.revision, d)
		}
	}
	if w.file != "" {
		w.checkFile(t)
	}
}

// checkHandle reads everything there is by every plain way there is.
func (w *world) checkHandle(t *rapid.T, h *handle) {
	list := h.List()
	if !w.tolerated[ListOrder] && !slices.IsSortedFunc(list, byName) {
		t.Fatalf("%v: List is not sorted by name: %+v", h, list)
	}
	w.sees(t, h, "List", listState(t, list))
	for i := range list {
		list[i] = registry.Machine{Name: "scribbled", Type: "over"}
	}
	w.sees(t, h, "List after its result was written over", listState(t, h.List()))
	for _, name := range names {
		m, err := h.Get(name)
		if c := classOf(err); c != ok && c != notFound {
			t.Fatalf("%v: Get(%q): %v, want it or not found", h, name, err)
		}
		shown := w.advance(h, func(s state) bool {
			want, there := s[name]
			return there == (err == nil) && (!there || want == m)
		})
		if !shown {
			t.Fatalf("%v: Get(%q) = %+v, %v: not in any version from %d to %d; in the last: %+v",
				h, name, m, err, h.low, w.last(), w.current()[name])
		}
	}
	if v, is := h.Subject.(Versioned); is {
		view := v.Snapshot()
		w.sees(t, h, "Snapshot", viewState(t, view))
		w.checkView(t, h, "Snapshot", view)
		if r := v.Revision(); r < view.Revision() {
			t.Fatalf("%v: Revision() = %d after a snapshot of %d", h, r, view.Revision())
		}
	}
}

// checkView is checkRevision for a view.
func (w *world) checkView(t *rapid.T, h *handle, what string, v View) {
	if !edited(v) {
		w.checkRevision(t, h, what, v.Revision(), viewState(t, v))
		return
	}
	// What no commit published has the revision that it was made on.
	if w.foreign < 0 {
		t.Fatalf("%v: %s of revision %d is edited, but only the subject has written", h, what, v.Revision())
	}
	w.checkGrows(t, h, what, v.Revision())
	if w.exact() && v.Revision() > w.revision {
		t.Fatalf("%v: %s is edited and has revision %d, of %d there are", h, what, v.Revision(), w.revision)
	}
}

func (w *world) checkGrows(t *rapid.T, h *handle, what string, r registry.Revision) {
	if r < h.newest {
		t.Fatalf("%v: %s has revision %d after %d", h, what, r, h.newest)
	}
	h.newest = r
}

// checkRevision requires that the revisions of h only grow and that none
// stands for two states. As long as nothing else has written, a revision is the
// number of writes, for all handles alike; if only commits make revisions, all
// of them know which is the newest.
func (w *world) checkRevision(t *rapid.T, h *handle, what string, r registry.Revision, s state) {
	w.checkGrows(t, h, what, r)
	seen := h.seen
	if w.exact() {
		seen = w.revisions
		if _, there := seen[r]; !there {
			t.Fatalf("%v: %s has revision %d, of %d there are", h, what, r, w.revision)
		}
	} else if !w.commitsOnly {
		return // an edit may be a revision of its own, or not
	}
	if before, there := seen[r]; !there {
		seen[r] = s
	} else if d := diff(s, before); d != "" {
		t.Fatalf("%v: %s of revision %d is not what that revision was: %s", h, what, r, d)
	}
}

// keep remembers a view for later checks.
func (w *world) keep(t *rapid.T, v View) {
	const enough = 4
	k := keptView{v, v.Revision(), viewState(t, v)}
	if len(w.views) == enough {
		w.views = slices.Delete(w.views, 0, 1)
	}
	w.views = append(w.views, k)
}

func byName(a, b registry.Machine) int { return bytes.Compare([]byte(a.Name), []byte(b.Name)) }

func listState(t *rapid.T, list []registry.Machine) state {
	s := make(state)
	for _, m := range list {
		if _, twice := s[m.Name]; twice {
			t.Fatalf("List has %q twice", m.Name)
		}
		s[m.Name] = m
	}
	return s
}

func viewState(t *rapid.T, v View) state {
	s := make(state)
	before := ""
	for name, m := range v.All() {
		if len(s) > 0 && name <= before {
			t.Fatalf("All yields %q after %q", name, before)
		}
		if got, there := v.Get(name); !there || got != m {
			t.Fatalf("view of revision %d: Get(%q) = %+v, %t, but All yields %+v", v.Revision(), name, got, there, m)
		}
		s[name], before = m, name
	}
	if v.Len() != len(s) {
		t.Fatalf("view of revision %d: Len() = %d, All yields %d", v.Revision(), v.Len(), len(s))
	}
	return s
}

// wantUnusable requires what a file that cannot be used is reported as.
func (w *world) wantUnusable(t *rapid.T, verb string, want class, err error) {
	if c := classOf(err); c != want && !(want == corrupt && w.tolerated[LenientFile] && c == other) {
		t.Fatalf("%s with a file that is %s: %v", verb, want, err)
	}
}

// witness keeps the file of an earlier version open, as a slow reader does: the
// version it opened must stay whole.
type witness struct {
	file *os.File
	data []byte
}

func (k *witness) close() {
	if k.file != nil {
		k.file.Close()
		k.file = nil
	}
}

// look opens the version that is there now.
func (k *witness) look(path string) {
	k.close()
	if runtime.GOOS == "windows" { // where an open file is in the way of a rename
		return
	}
	if f, err := os.Open(path); err == nil {
		if data, err := io.ReadAll(f); err == nil {
			k.file, k.data = f, data
			return
		}
		f.Close()
	}
}

// verify says what became of the version that was opened.
func (k *witness) verify() error {
	if k.file == nil {
		return nil
	}
	data := make([]byte, len(k.data)+1)
	n, err := k.file.ReadAt(data, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if !bytes.Equal(data[:n], k.data) {
		return fmt.Errorf("a reader that had the file open finds %d bytes of something else in it: it was not replaced, but written over", n)
	}
	return nil
}
