package faults_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/machreg/machreg/internal/vfs"
	"github.com/machreg/machreg/internal/vfs/crashfs"
	"github.com/machreg/machreg/internal/vfs/errorfs"
	"github.com/machreg/machreg/registry"
	"github.com/machreg/machreg/snapshot"
)

// registryPath is where the registry of a world is; not on the real disk.
const registryPath = "/machreg-faults/machines.json"

// world is a registry in memory whose file system can be made to fail, and what
// ought to be in it. A scenario acts through its methods, each of which judges
// what the registry did; what is wrong is collected in problems.
type world struct {
	disk   *crashfs.FS  // what the registry stands on
	opened atomic.Int64 // descriptors that are open
	faulty *errorfs.FS  // what its handles see
	faults []*errorfs.Injection
	causes []error // errors that the faults explain

	lockDir string // real: the lock and the page are files of the kernel's
	handles []*handle

	mu       sync.Mutex
	now      names  // what the file must hold
	edited   []byte // what was last written by hand, which is in no form of ours
	problems []string
}

func newWorld(lockDir string, opts *crashfs.Options) *world {
	w := &world{disk: crashfs.New(opts), lockDir: lockDir, now: names{}}
	for _, dir := range []string{filepath.Dir(registryPath), lockDir} {
		if err := w.disk.MkdirAll(dir); err != nil {
			panic(err)
		}
	}
	w.faulty = errorfs.Wrap(countingFS{w.disk, &w.opened})
	return w
}

func (w *world) problemf(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.problems = append(w.problems, fmt.Sprintf(format, args...))
}

// inject adds a fault, and what errors it explains.
func (w *world) inject(p errorfs.Plan, causes ...error) *errorfs.Injection {
	i := w.faulty.Inject(p)
	w.faults = append(w.faults, i)
	w.causes = append(w.causes, causes...)
	return i
}

// explained reports whether an error is the work of the faults.
func (w *world) explained(err error) bool {
	fired := slices.ContainsFunc(w.faults, func(i *errorfs.Injection) bool { return i.Fired() > 0 })
	return fired && slices.ContainsFunc(w.causes, func(cause error) bool { return errors.Is(err, cause) })
}

// bytes is the file as it is now, without the faults; nil if there is none.
func (w *world) bytes() []byte {
	data, err := w.disk.ReadFile(registryPath)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		w.problemf("read the file: %v", err)
	}
	return data
}

// file is what the file holds now.
func (w *world) file() (rawFile, bool) {
	data := w.bytes()
	if data == nil {
		return rawFile{names: names{}}, true
	}
	if w.edited != nil && string(data) == string(w.edited) {
		return rawFile{names: w.now}, true
	}
	f, err := parse(data)
	if err != nil {
		w.problemf("the file is not a whole revision: %v", err)
		return f, false
	}
	return f, true
}

func (w *world) options() *registry.Options {
	return &registry.Options{FS: w.faulty, LockDir: w.lockDir, Refresh: registry.RefreshNever}
}

// handle is one open registry, as a process would have it.
type handle struct {
	w    *world
	r    *registry.MachineRegistry
	seen map[registry.Revision]string // what each revision stood for
}

// open returns nil if the registry could not be opened for the faults.
func (w *world) open(adjust ...func(*registry.Options)) *handle {
	opts := w.options()
	for _, a := range adjust {
		a(opts)
	}
	r, err := registry.OpenMachines(registryPath, opts)
	if err != nil {
		if !w.explained(err) {
			w.problemf("open: %v", err)
		}
		return nil
	}
	h := &handle{w: w, r: r, seen: map[registry.Revision]string{}}
	w.handles = append(w.handles, h)
	h.look("open", w.now)
	return h
}

// look demands that the handle serves one of the states, and that its
// revisions stand for one content each.
func (h *handle) look(after string, states ...names) {
	snap := h.r.Snapshot()
	got, err := namesIn(snap)
	if err != nil {
		h.w.problemf("%s: %v", after, err)
		return
	}
	if !slices.ContainsFunc(states, got.equal) {
		h.w.problemf("after %s the handle serves %v at revision %d, want %v", after, got, snap.Revision(), states)
	}
	// A text from outside is no revision of its own until a write settles it.
	edited, _ := any(snap).(interface{ Edited() bool })
	if was, ok := h.seen[snap.Revision()]; ok && was != got.String() && (edited == nil || !edited.Edited()) {
		h.w.problemf("after %s revision %d is %v, and was %s", after, snap.Revision(), got, was)
	}
	for r := range h.seen {
		if r > snap.Revision() {
			h.w.problemf("after %s the revision is %d, and was %d", after, snap.Revision(), r)
		}
	}
	if edited == nil || !edited.Edited() {
		h.seen[snap.Revision()] = got.String()
	}
}

// write performs a write that turns the present state into the one that change
// returns, and judges: it happened and said so, or it did not, for a reason
// that the faults explain, and nothing is different from before.
func (h *handle) write(what string, change func(names), do func() (registry.Revision, error)) {
	if h == nil {
		return
	}
	w := h.w
	before, was := w.bytes(), w.now
	served, err := namesIn(h.r.Snapshot())
	if err != nil {
		w.problemf("%s: %v", what, err)
	}
	next := was.clone()
	change(next)
	rev, err := do()
	f, whole := w.file()
	if !whole {
		return
	}
	if err != nil && !w.explained(err) {
		w.problemf("%s: %v", what, err)
	}
	switch {
	case err == nil, errors.Is(err, registry.ErrNotDurable):
		w.now = next
		if !f.names.equal(next) || err == nil && f.revision != rev {
			w.problemf("%s = %d, %v, but the file is revision %d with %v", what, rev, err, f.revision, f.names)
		}
		h.look(what, next)
	case errors.Is(err, registry.ErrInDoubt):
		w.now = f.names
		if !f.names.equal(next) && !f.names.equal(was) {
			w.problemf("%s: %v; the file holds %v, want %v or %v", what, err, f.names, was, next)
		}
		h.look(what, served, was, next)
	default:
		if string(w.bytes()) != string(before) {
			w.problemf("%s: %v, but the file changed from %.300q to %.300q", what, err, before, w.bytes())
			w.now = f.names
		}
		h.look(what, served, was)
	}
}

func (h *handle) add(name string) {
	h.write("add "+name, func(n names) { n[name] = true }, func() (registry.Revision, error) {
		return h.r.Add(context.Background(), machineOf(name))
	})
}

func (h *handle) remove(name string) {
	if h != nil && !h.w.now[name] {
		return // a fault has kept it from being added
	}
	h.write("remove "+name, func(n names) { delete(n, name) }, func() (registry.Revision, error) {
		return h.r.Remove(context.Background(), name)
	})
}

// latest reads what users of the library have written, and judges it.
func (h *handle) latest() {
	h.read("latest", func(ctx context.Context) error {
		_, err := h.r.Latest(ctx)
		return err
	})
}

// refresh reads what anybody has written, and judges it.
func (h *handle) refresh() {
	h.read("refresh", func(ctx context.Context) error { return h.r.Refresh(ctx) })
}

func (h *handle) read(what string, do func(context.Context) error) {
	if h == nil {
		return
	}
	served, _ := namesIn(h.r.Snapshot())
	err := do(context.Background())
	if err == nil {
		h.look(what, h.w.now)
		return
	}
	if !h.w.explained(err) {
		h.w.problemf("%s: %v", what, err)
	}
	if herr := h.r.Health(); herr == nil {
		h.w.problemf("%s: %v, but the handle calls itself healthy", what, err)
	}
	h.look("failing "+what, served)
}

func (h *handle) close() {
	if h == nil {
		return
	}
	served, _ := namesIn(h.r.Snapshot())
	if err := h.r.Close(); err != nil && !h.w.explained(err) {
		h.w.problemf("close: %v", err)
	}
	h.look("close", served)
	h.w.handles = slices.DeleteFunc(h.w.handles, func(other *handle) bool { return other == h })
}

// settle ends the faults and demands that everything goes on as if there had
// been none: every handle writes and sees the others' writes, the first handle
// that is opened next and writes leaves nothing lying about, and when all are
// closed no descriptor is open.
func (w *world) settle() {
	w.faulty.Clear()
	w.causes = nil
	for i, h := range slices.Clone(w.handles) {
		h.add(fmt.Sprintf("afterwards-%d", i))
	}
	for _, h := range slices.Clone(w.handles) {
		h.latest()
		if err := h.r.Health(); err != nil {
			w.problemf("health after the faults: %v", err)
		}
		h.close()
	}
	if h := w.open(); h != nil {
		h.add("fresh")
		h.close()
	}
	for dir, want := range map[string]int{filepath.Dir(registryPath): 1, w.lockDir: 0} {
		if left, err := w.disk.ReadNames(dir); err != nil || len(left) != want {
			w.problemf("left in %q: %q, %v", dir, left, err)
		}
	}
	if n := w.opened.Load(); n != 0 {
		w.problemf("%s left open", plural(int(n), "descriptor"))
	}
}

// leftover is the name of a temporary file that a writer left when it died.
func leftover(i int) string {
	return filepath.Join(filepath.Dir(registryPath), fmt.Sprintf(".machines.json.2aaaaaaaaaaa%d.tmp", i))
}

// countingFS counts the descriptors that are open.
type countingFS struct {
	vfs.FS
	open *atomic.Int64
}

func (c countingFS) counted(f vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	c.open.Add(1)
	return &countedFile{File: f, open: c.open}, nil
}

func (c countingFS) Open(name string) (vfs.File, error) { return c.counted(c.FS.Open(name)) }

func (c countingFS) Create(name string, perm fs.FileMode) (vfs.File, error) {
	return c.counted(c.FS.Create(name, perm))
}

type countedFile struct {
	vfs.File
	open   *atomic.Int64
	closed atomic.Bool
}

func (f *countedFile) Close() error {
	if !f.closed.Swap(true) {
		f.open.Add(-1)
	}
	return f.File.Close()
}

// shortCauses are what the registry may make of a file that was cut short.
var shortCauses = []error{io.ErrShortWrite, io.EOF, snapshot.ErrChanged}

// inDirectory runs fn with a directory of its own for locks, in memory where
// that is possible: nothing in it has to survive.
func inDirectory(fn func(dir string)) error {
	parent := "/dev/shm"
	if _, err := os.Stat(parent); err != nil {
		parent = ""
	}
	dir, err := os.MkdirTemp(parent, "machreg-faults")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir) // if fn ends the test
	fn(dir)
	return os.RemoveAll(dir)
}
