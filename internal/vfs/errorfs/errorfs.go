// Package errorfs makes a file system fail on purpose. It wraps any [vfs.FS],
// numbers its operations and those of its files in one sequence, and lets
// chosen ones fail as a [Plan] says: not at all and with an error, or done and
// with an error all the same, or half done.
//
// The usual test runs a scenario with a fault at operation k for k = 0, 1, 2, …
// until the fault does not fire any more; the numbers are the same in every run
// of a scenario that one goroutine performs. A loss of power at any operation
// is [PowerLossAt] over a crashfs.
//
// It is safe for concurrent use and adds no ordering: operations of different
// goroutines reach the file system below at the same time.
package errorfs

import (
	"io/fs"
	"os"
	"slices"
	"sync"

	"github.com/machreg/machreg/internal/vfs"
)

// FS is a file system whose operations may be made to fail.
type FS struct {
	base vfs.FS

	mu         sync.Mutex // guards all below
	ops        int
	injections []*Injection
	hook       func(Op)
	recording  bool
	trace      []Op
}

var _ vfs.FS = (*FS)(nil)

// Wrap returns base with nothing failing yet.
func Wrap(base vfs.FS) *FS { return &FS{base: base} }

// Inject puts p to work, beside the plans already at work. Of several that
// would make one operation fail, the oldest does. A plan without a fault panics.
func (f *FS) Inject(p Plan) *Injection {
	if p.Fault.err == nil && p.Fault.how != short {
		panic("errorfs: plan without a fault")
	}
	i := &Injection{plan: p}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.injections = append(f.injections, i)
	return i
}

// Clear ends all injections: nothing fails any more.
func (f *FS) Clear() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.injections = nil
}

// Ops returns how many operations there have been.
func (f *FS) Ops() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.ops
}

// Before has hook called before every operation from now on, in the goroutine
// that performs it and with no lock held, so it may use the file system below
// and may wait. An operation that is going to fail is announced as well. A nil
// hook ends that.
func (f *FS) Before(hook func(Op)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.hook = hook
}

// Record begins a new trace, dropping the one before.
func (f *FS) Record() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.recording, f.trace = true, nil
}

// Trace returns the operations since Record, in the order of their numbers,
// those that failed included.
func (f *FS) Trace() []Op {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.trace)
}

// begin numbers op and returns the fault that it is to suffer, if any.
func (f *FS) begin(op Op) *Fault {
	f.mu.Lock()
	op.Number = f.ops
	f.ops++
	if f.recording {
		f.trace = append(f.trace, op)
	}
	var fault *Fault
	for _, i := range f.injections {
		if i.countLocked(op) && fault == nil {
			fault = &i.plan.Fault
			i.fired.Add(1)
		}
	}
	hook := f.hook
	f.mu.Unlock()
	if hook != nil {
		hook(op)
	}
	return fault
}

// do performs op by calling run, unless it is to fail before that.
func (f *FS) do(op Op, run func() error) error {
	fault := f.begin(op)
	if fault == nil {
		return run()
	}
	if fault.how == after || op.Kind == Close {
		if err := run(); err != nil {
			return err
		}
	}
	return op.failed(fault.err)
}

// failed is err as the os package would return it.
func (op Op) failed(err error) error {
	if op.Kind == Rename {
		return &os.LinkError{Op: "rename", Old: op.Path, New: op.To, Err: err}
	}
	return &fs.PathError{Op: op.Kind.String(), Path: op.Path, Err: err}
}

func (f *FS) Open(name string) (vfs.File, error) {
	return f.open(Op{Kind: Open, Path: name}, func() (vfs.File, error) { return f.base.Open(name) })
}

func (f *FS) Create(name string, perm fs.FileMode) (vfs.File, error) {
	return f.open(Op{Kind: Create, Path: name}, func() (vfs.File, error) { return f.base.Create(name, perm) })
}

func (f *FS) open(op Op, run func() (vfs.File, error)) (vfs.File, error) {
	var opened vfs.File
	err := f.do(op, func() (err error) {
		opened, err = run()
		return err
	})
	if err != nil {
		if opened != nil {
			// Done, but reported as failed: the caller has nothing to close.
			opened.Close()
		}
		return nil, err
	}
	return &file{opened, f}, nil
}

func (f *FS) Stat(name string) (vfs.Info, error) {
	return look(f, Op{Kind: Stat, Path: name}, f.base.Stat)
}

func (f *FS) Lstat(name string) (vfs.Info, error) {
	return look(f, Op{Kind: Lstat, Path: name}, f.base.Lstat)
}

func (f *FS) Resolve(path string) (vfs.Route, error) {
	return look(f, Op{Kind: Resolve, Path: path}, f.base.Resolve)
}

// look performs an operation that changes nothing, so that one which is to fail
// need not be done.
func look[T any](f *FS, op Op, run func(string) (T, error)) (found T, err error) {
	if fault := f.begin(op); fault != nil {
		return found, op.failed(fault.err)
	}
	return run(op.Path)
}

func (f *FS) Mkdir(name string, perm fs.FileMode) error {
	return f.do(Op{Kind: Mkdir, Path: name}, func() error { return f.base.Mkdir(name, perm) })
}

func (f *FS) Rename(oldname, newname string) error {
	return f.do(Op{Kind: Rename, Path: oldname, To: newname}, func() error { return f.base.Rename(oldname, newname) })
}

func (f *FS) Remove(name string) error {
	return f.do(Op{Kind: Remove, Path: name}, func() error { return f.base.Remove(name) })
}

func (f *FS) ReadNames(dir string) ([]string, error) {
	return look(f, Op{Kind: ReadNames, Path: dir}, f.base.ReadNames)
}

func (f *FS) OpenDir(name string) (vfs.Dir, error) {
	op := Op{Kind: OpenDir, Path: name}
	if fault := f.begin(op); fault != nil {
		return nil, op.failed(fault.err)
	}
	base, err := f.base.OpenDir(name)
	if err != nil {
		return nil, err
	}
	// Closing one is no operation that matters.
	return vfs.WithSync(base, func() error { return f.do(Op{Kind: SyncDir, Path: name}, base.Sync) }), nil
}
