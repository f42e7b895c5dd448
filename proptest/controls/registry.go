package controls

import (
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/machreg/machreg/filelock"
	"github.com/machreg/machreg/internal/page"
	"github.com/machreg/machreg/proptest"
	"github.com/machreg/machreg/registry"
	"github.com/machreg/machreg/snapshot"
)

// Registry is one handle. Its methods are safe for concurrent use as far as its
// fault allows.
//
// Locks are taken in this order: the lock between processes, mu.
type Registry struct {
	fault Fault
	path  string
	codec *snapshot.Codec[registry.Machine]
	file  *snapshot.File[registry.Machine]
	lock  *filelock.Lock
	page  *page.Page

	mu     sync.Mutex             // one load or save at a time
	loaded atomic.Pointer[loaded] // stored under mu
	// shown is what plain reads see.
	shown   atomic.Pointer[shownState]
	failing atomic.Bool // saves fail
}

type machines = snapshot.Snapshot[registry.Machine]

// loaded is the newest version of the file that the handle knows, and the
// page's sequence at which it was the newest there is.
type loaded struct {
	version  *snapshot.Version[registry.Machine]
	mapping  *page.Mapping
	sequence uint64
}

type shownState struct {
	snap *machines
	list []registry.Machine
}

// New opens controls of one fault.
func New(fault Fault) proptest.New {
	return func(dir string) (proptest.Subject, error) { return open(filepath.Join(dir, proptest.FileName), fault) }
}

func open(path string, fault Fault) (*Registry, error) {
	codec, err := snapshot.NewCodec(registry.MachineSchema())
	if err != nil {
		return nil, err
	}
	r := &Registry{
		fault: fault,
		path:  path,
		codec: codec,
		file:  snapshot.NewFile(path, path, codec, snapshot.FileOptions{}),
		lock:  newLock(path),
		page:  page.New(lockDir(path)+page.Suffix, 0),
	}
	r.page.NoOddPhase = fault == NoOddPhase
	l, err := r.load(nil)
	if err != nil {
		return nil, err
	}
	r.loaded.Store(l)
	r.show(l.version.Snapshot)
	return r, nil
}

// Close lets go of the lock and of the file.
func (r *Registry) Close() error {
	return errors.Join(r.lock.Close(), r.loaded.Load().version.Close())
}

// show makes snap what plain reads see, unless they see something newer.
func (r *Registry) show(snap *machines) {
	if now := r.shown.Load(); now != nil && now.snap == snap {
		return
	}
	next := &shownState{snap: snap}
	for _, m := range snap.All() {
		next.list = append(next.list, m)
	}
	for {
		now := r.shown.Load()
		if now != nil && !snap.After(now.snap) || r.shown.CompareAndSwap(now, next) {
			return
		}
	}
}

// load reads the file unless it is still prev; mu is held, or nobody else knows
// the handle.
func (r *Registry) load(prev *loaded) (*loaded, error) {
	r.page.Check()
	mapping := r.page.Mapping()
	var before uint64 = 1
	if mapping != nil {
		before = mapping.Sequence()
	}
	var old *snapshot.Version[registry.Machine]
	if prev != nil {
		old = prev.version
	}
	v := old
	same, err := r.unchanged(old)
	if err == nil && !same {
		v, err = r.file.Load(old, nil)
	}
	if err != nil {
		return nil, err
	}
	l := &loaded{version: v}
	if before%2 == 0 && mapping.Sequence() == before {
		l.mapping, l.sequence = mapping, before
	}
	return l, nil
}

func (r *Registry) unchanged(v *snapshot.Version[registry.Machine]) (bool, error) {
	if v == nil {
		return false, nil
	}
	if r.fault == TimeAndSize {
		return r.sameTimeAndSize(v.Stamp())
	}
	return r.file.Unchanged(v)
}

// refreshLocked makes the newest version the loaded one; mu is held.
func (r *Registry) refreshLocked() error {
	old := r.loaded.Load()
	l, err := r.load(old)
	if err != nil {
		return err
	}
	r.loaded.Store(l)
	if l.version != old.version {
		old.version.Close()
	}
	r.show(l.version.Snapshot)
	return nil
}

// Refresh implements [proptest.Refresher].
func (r *Registry) Refresh() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.refreshLocked()
}

// Get implements [proptest.Subject].
func (r *Registry) Get(name string) (registry.Machine, error) {
	m, there := r.shown.Load().snap.Get(name)
	if !there {
		return m, fmt.Errorf("machine %q: %w", name, registry.ErrNotFound)
	}
	return m, nil
}

// List implements [proptest.Subject].
func (r *Registry) List() []registry.Machine {
	first := r.shown.Load()
	if r.fault == Mutable {
		return first.list
	}
	list := append([]registry.Machine(nil), first.list...)
	if r.fault == TwoSnapshots {
		linger()
		list = list[:len(list)/2]
		for _, m := range r.shown.Load().list {
			if len(list) == 0 || m.Name > list[len(list)-1].Name {
				list = append(list, m)
			}
		}
	}
	return list
}

// Revision implements [proptest.Versioned].
func (r *Registry) Revision() registry.Revision { return r.shown.Load().snap.Revision() }

// Snapshot implements [proptest.Versioned].
func (r *Registry) Snapshot() proptest.View { return r.shown.Load().snap }

// Latest implements [proptest.Latest].
func (r *Registry) Latest() (proptest.View, error) {
	if l := r.loaded.Load(); l.mapping != nil && l.mapping.Sequence() == l.sequence {
		r.show(l.version.Snapshot) // plain reads must not be behind
		return l.version.Snapshot, nil
	}
	if err := r.Refresh(); err != nil {
		return nil, err
	}
	return r.shown.Load().snap, nil
}

// AtLeast implements [proptest.Latest].
func (r *Registry) AtLeast(rev registry.Revision) (proptest.View, error) {
	v, err := r.Latest()
	if err == nil && v.Revision() < rev {
		err = fmt.Errorf("revision %d does not come", rev)
	}
	return v, err
}

// BreakSaves implements [proptest.SaveBreaker].
func (r *Registry) BreakSaves() (mend func(), err error) {
	r.failing.Store(true)
	return func() { r.failing.Store(false) }, nil
}
