package faults_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/machreg/machreg/filelock"
	"github.com/machreg/machreg/internal/vfs"
	"github.com/machreg/machreg/internal/vfs/crashfs"
	"github.com/machreg/machreg/internal/vfs/errorfs"
	"github.com/machreg/machreg/registry"
)

// machine is a computer whose power goes at some operation. Its processes share
// the disk, and each can die by itself.
type machine struct {
	disk  *crashfs.FS
	power *errorfs.FS // what all processes see; ends at the power cut
	loss  *errorfs.Injection
	began int // operations before this life
	now   atomic.Int64
	path  string // of the registry
	// lockDir is real: the lock and the page are files of the kernel's. The
	// disk has a directory of the same name, for temporary files.
	lockDir string
	// leaveOut takes a rule away from a process, for the controls.
	leaveOut func(m *machine, p *process, fsys vfs.FS) vfs.FS

	*ledger
	history
	problems []error // refusals that nothing explains; guarded by ledger.mu

	// failed and failing are how many syncs have failed, and still are to.
	failed, failing atomic.Int64
}

// process is one process's registry; nil if it could not be opened.
type process struct {
	m    *machine
	r    *registry.MachineRegistry
	full bool // what it acknowledges must survive a loss of power
	// calls is what this process sees of the file system; it ends when the
	// process dies.
	calls *errorfs.FS
}

// notSynced opens a process whose writes need not survive a loss of power.
func notSynced(o *registry.Options) { o.Sync = registry.SyncNone }

// withoutPage opens a process that compares stamps.
func withoutPage(o *registry.Options) { o.Page = registry.PageOff }

func (m *machine) start(adjust ...func(*registry.Options)) *process {
	opts := &registry.Options{LockDir: m.lockDir, Refresh: registry.RefreshNever}
	for _, a := range adjust {
		a(opts)
	}
	p := &process{m: m, full: opts.Sync == registry.SyncFull}
	var base vfs.FS = m.power
	if m.leaveOut != nil {
		base = m.leaveOut(m, p, base)
	}
	p.calls = errorfs.Wrap(base)
	opts.FS = p.calls
	r, err := registry.OpenMachines(m.path, opts)
	if err != nil {
		m.explain("open", err)
		return nil
	}
	p.r = r
	return p
}

// explain notes an error that is neither the power's work nor a fault's.
func (m *machine) explain(what string, err error) {
	if err == nil || m.loss != nil && m.loss.Fired() > 0 || errors.Is(err, errorfs.ErrPowerLoss) || errors.Is(err, syscall.EIO) ||
		errors.Is(err, registry.ErrNotDurable) && m.failed.Load() > 0 {
		return
	}
	m.ledger.mu.Lock()
	defer m.ledger.mu.Unlock()
	m.problems = append(m.problems, fmt.Errorf("%s, with nothing wrong: %w", what, err))
}

// write performs a write and enters its answer.
func (p *process) write(what string, added, removed []string, do func(context.Context) (registry.Revision, error)) error {
	if p == nil {
		return errorfs.ErrPowerLoss
	}
	m := p.m
	from := m.observe()
	m.try(slices.Concat(added, removed)...)
	rev, err := do(context.Background())
	m.observe()
	m.explain(what, err)
	m.answered(from, rev, err, p.full && err == nil)
	if p.full {
		m.note(rev, err, added, removed)
	}
	return err
}

func (p *process) add(name string) error {
	return p.write("add "+name, []string{name}, nil, func(ctx context.Context) (registry.Revision, error) {
		return p.r.Add(ctx, machineOf(name))
	})
}

func (p *process) remove(name string) {
	p.write("remove "+name, nil, []string{name}, func(ctx context.Context) (registry.Revision, error) {
		rev, err := p.r.Remove(ctx, name)
		if errors.Is(err, registry.ErrNotFound) {
			err = fmt.Errorf("%w: %w", err, syscall.EIO) // a fault has kept it from being added
		}
		return rev, err
	})
}

func (p *process) update(names ...string) {
	p.write(fmt.Sprintf("update %q", names), names, nil, func(ctx context.Context) (registry.Revision, error) {
		return p.r.Update(ctx, func(tx *registry.Tx[registry.Machine]) error {
			for _, name := range names {
				if err := tx.Put(name, machineOf(name)); err != nil {
					return err
				}
			}
			return nil
		})
	})
}

// refresh lets the process look at what is there.
func (p *process) refresh() {
	if p != nil {
		p.r.Refresh(context.Background())
	}
}

// group adds names that wait for the lock together.
func (p *process) group(names ...string) {
	if p == nil {
		return
	}
	held, err := filelock.New(filepath.Join(p.m.lockDir, "machines.json.lock"), nil).Lock(context.Background())
	if err != nil {
		return
	}
	var calling, done sync.WaitGroup
	for _, name := range names {
		calling.Add(1)
		done.Go(func() {
			calling.Done()
			p.add(name)
		})
	}
	calling.Wait()
	held.Unlock()
	done.Wait()
}

// before has do called before this process's first operation of a kind.
func (p *process) before(kind errorfs.Kind, do func()) {
	if p == nil {
		return
	}
	once := true
	p.calls.Before(func(op errorfs.Op) {
		if op.Kind == kind && once {
			once = false
			do()
		}
	})
}

// dieAt ends the process at its operation k from now on.
func (p *process) dieAt(k int) {
	if p != nil {
		p.calls.Inject(errorfs.PowerLossAt(k))
	}
}

func (p *process) close() {
	if p != nil {
		p.r.Close()
	}
}

// failSyncs makes the next syncs fail, of the directory that holds the
// registry or of files, as Linux does: what they should have made durable is
// given up.
func (m *machine) failSyncs(of syncs, times int64) {
	m.failing.Store(times)
	m.disk.FailSync(func(name string) error {
		if (name == filepath.Dir(m.path)) != (of == ofDirectory) || m.failing.Load() == 0 {
			return nil
		}
		m.failing.Add(-1)
		m.failed.Add(1)
		return syscall.EIO
	})
}

type syncs string

const (
	ofDirectory syncs = "directory"
	ofFile      syncs = "file"
)

// form is how a text from outside looks.
type form string

const (
	handWritten   form = "by hand" // without revision and checksum
	withRevision  form = "with the next revision"
	staleChecksum form = "with a stale checksum" // what jq leaves
)

// way is how a text from outside gets to the path.
type way string

const (
	inPlace way = "in place"
	renamed way = "renamed"
	synced  way = "synced, renamed" // as somebody careful does
)

// edit adds a name without the lock.
func (m *machine) edit(name string, f form, w way) {
	v := m.version(m.observe())
	if !v.readable {
		return
	}
	m.try(name)
	with := v.names.clone()
	with[name] = true
	var text []byte
	switch f {
	case handWritten:
		text = byHand(with)
	case withRevision:
		text = inOurForm(v.revision+1, with)
	case staleChecksum:
		text = inOurForm(v.revision, with)
		copy(text[len(text)-len("00000000\"\n}\n"):], "00000000")
	}
	if m.put(text, w) && w == synced {
		m.note(0, nil, []string{name}, nil)
	}
}

// restore puts back what the file was at an earlier version; writing what it is
// now is a copy that changes nothing.
func (m *machine) restore(n int, w way) {
	v := m.version(n)
	if m.put(v.data, w) {
		m.replaced(v.names)
	}
}

// put writes the file from outside and reports whether that was done in full.
func (m *machine) put(text []byte, w way) bool {
	put, err := false, error(nil)
	if w == inPlace {
		// Two texts of one size that are written in place within a tick of the
		// clock that stamps files cannot be told apart.
		m.now.Add(int64(time.Second))
		if _, err = m.power.Stat(m.path); err == nil { // while there is power
			err = m.disk.WriteFile(m.path, text)
			put = err == nil
		}
	} else {
		put, err = m.rename(text, w == synced)
	}
	m.explain("write from outside", err)
	if put {
		m.written(text, w == synced && err == nil)
	}
	return err == nil
}

func (m *machine) rename(text []byte, durably bool) (done bool, err error) {
	temp := filepath.Join(filepath.Dir(m.path), "edited")
	file, err := m.power.Create(temp, 0o644)
	if err != nil {
		return false, err
	}
	defer file.Close()
	if _, err := file.Write(text); err != nil {
		return false, err
	}
	if durably {
		if err := file.Sync(); err != nil {
			return false, err
		}
	}
	if err := m.power.Rename(temp, m.path); err != nil {
		return false, err
	}
	if durably {
		err = vfs.SyncDir(m.power, filepath.Dir(m.path))
	}
	return true, err
}
