package proptest

import (
	"context"
	"path/filepath"
	"syscall"
	"time"

	"github.com/machreg/machreg/internal/vfs"
	"github.com/machreg/machreg/internal/vfs/errorfs"
	"github.com/machreg/machreg/registry"
	"github.com/machreg/machreg/snapshot"
)

// FileName is the registry file that the subjects of this package keep in
// their directory.
const FileName = "machines.json"

// Machines is this module's registry as a subject. opts may be nil; its FS is
// replaced by one whose saves can be made to fail.
func Machines(opts *registry.Options) New {
	return func(dir string) (Subject, error) {
		return openMachinesAt(filepath.Join(dir, FileName), valueOrZero(opts))
	}
}

func openMachinesAt(path string, o registry.Options) (Subject, error) {
	return openMachines(path, o, func(path string, o *registry.Options) (*machines, error) {
		r, err := registry.OpenMachines(path, o)
		if err != nil {
			return nil, err
		}
		return &machines{Registry: r.Registry, list: r.List, add: r.Add}, nil
	})
}

func valueOrZero(opts *registry.Options) (o registry.Options) {
	if opts != nil {
		o = *opts
	}
	return o
}

// Generic is the generic registry used for machines, as a subject.
func Generic(opts *registry.Options) New {
	return func(dir string) (Subject, error) {
		return openMachines(filepath.Join(dir, FileName), valueOrZero(opts), func(path string, o *registry.Options) (*machines, error) {
			r, err := registry.Open(path, registry.MachineSchema(), o)
			if err != nil {
				return nil, err
			}
			list := func() (all []registry.Machine) {
				for _, m := range r.All() {
					all = append(all, m)
				}
				return all
			}
			put := func(ctx context.Context, m registry.Machine, c ...registry.Condition) (registry.Revision, error) {
				return r.Put(ctx, m.Name, m, c...)
			}
			return &machines{Registry: r, list: list, add: put}, nil
		})
	}
}

func openMachines(path string, o registry.Options, open func(string, *registry.Options) (*machines, error)) (Subject, error) {
	faults := errorfs.Wrap(vfs.OS)
	o.FS = faults
	m, err := open(path, &o)
	if err != nil {
		return nil, err
	}
	m.faults = faults
	return m, nil
}

// machines adapts a registry; what the registry has already is embedded.
type machines struct {
	*registry.Registry[registry.Machine]
	list   func() []registry.Machine
	add    func(context.Context, registry.Machine, ...registry.Condition) (registry.Revision, error)
	faults *errorfs.FS
}

var ctx = context.Background()

func (r *machines) List() []registry.Machine { return r.list() }

func (r *machines) Add(m registry.Machine) error {
	_, err := r.add(ctx, m)
	return err
}

func (r *machines) Remove(name string) error {
	_, err := r.Registry.Remove(ctx, name)
	return err
}

func (c Condition) list() (conds []registry.Condition) {
	if c.Absent {
		conds = append(conds, registry.IfAbsent())
	}
	if c.At != nil {
		conds = append(conds, registry.IfRevision(*c.At))
	}
	return conds
}

func (r *machines) Put(m registry.Machine, c Condition) (registry.Revision, error) {
	return r.add(ctx, m, c.list()...)
}

func (r *machines) Delete(name string, c Condition) (registry.Revision, error) {
	return r.Registry.Remove(ctx, name, c.list()...)
}

func (r *machines) Refresh() error { return r.Registry.Refresh(ctx) }
func (r *machines) Snapshot() View { return r.Registry.Snapshot() }

func (r *machines) Latest() (View, error) { return asView(r.Registry.Latest(ctx)) }

func (r *machines) AtLeast(rev registry.Revision) (View, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	return asView(r.Registry.AtLeast(ctx, rev))
}

// asView keeps a nil snapshot from becoming a View that is not nil.
func asView(s *snapshot.Snapshot[registry.Machine], err error) (View, error) {
	if err != nil {
		return nil, err
	}
	return s, nil
}

func (r *machines) Begin() Tx { return machinesTx{r.Registry.Begin()} }

func (r *machines) Update(fn func(Tx) error) (registry.Revision, error) {
	return r.Registry.Update(ctx, func(tx *registry.Tx[registry.Machine]) error { return fn(machinesTx{tx}) })
}

// BreakSaves lets the temporary file fail, as a full disk would.
func (r *machines) BreakSaves() (mend func(), err error) {
	r.faults.Inject(errorfs.Plan{
		Times: errorfs.Always,
		Match: errorfs.Only(errorfs.Create, errorfs.Write, errorfs.Rename),
		Fault: errorfs.Fail(syscall.ENOSPC),
	})
	return r.faults.Clear, nil
}

type machinesTx struct{ *registry.Tx[registry.Machine] }

func (tx machinesTx) Put(m registry.Machine) error       { return tx.Tx.Put(m.Name, m) }
func (tx machinesTx) Commit() (registry.Revision, error) { return tx.Tx.Commit(ctx) }
