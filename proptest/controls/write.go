package controls

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"

	"github.com/machreg/machreg/internal/page"
	"github.com/machreg/machreg/proptest"
	"github.com/machreg/machreg/registry"
	"github.com/machreg/machreg/snapshot"
)

type editor = snapshot.Editor[registry.Machine]
type write = snapshot.Write[registry.Machine]

// write is one read-modify-write under the lock.
func (r *Registry) write(apply func(*editor) error) (rev registry.Revision, err error) {
	err = r.under(func() error {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.fault != NoReload {
			if err := r.refreshLocked(); err != nil {
				return err
			}
		}
		base := r.loaded.Load().version.Snapshot
		edit := base.Edit()
		if err := apply(edit); err != nil {
			return err
		}
		next := edit.Snapshot()
		rev = next.Revision()
		if next == base {
			return nil
		}
		if r.fault == PublishFirst {
			r.show(next)
		}
		if err := r.save(next); err != nil {
			return err
		}
		return r.refreshLocked()
	})
	return rev, err
}

var errFull = errors.New("no space left")

// save writes the file, between the two bumps of the page.
func (r *Registry) save(next *machines) error {
	if r.failing.Load() {
		return errFull
	}
	var data bytes.Buffer
	if err := next.Encode(&data); err != nil {
		return err
	}
	if err := r.page.Begin(page.Revision{Number: uint64(next.Revision())}); err != nil {
		return err
	}
	defer r.page.End(page.Published)
	if r.fault == InPlace {
		return r.overwrite(data.Bytes())
	}
	err := replace(r.path, data.Bytes())
	linger()
	return err
}

func replace(path string, data []byte) error {
	temp, err := os.CreateTemp(filepath.Dir(path), ".control-*")
	if err != nil {
		return err
	}
	_, err = temp.Write(data)
	return errors.Join(err, temp.Close(), os.Rename(temp.Name(), path))
}

// overwrite is what a reader can meet in the middle of.
func (r *Registry) overwrite(data []byte) error {
	f, err := os.OpenFile(r.path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	half := len(data) / 2
	_, err = f.Write(data[:half])
	linger()
	_, err2 := f.Write(data[half:])
	return errors.Join(err, err2, f.Close())
}

func (r *Registry) sameTimeAndSize(s snapshot.Stamp) (bool, error) {
	info, err := os.Stat(r.path)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	return err == nil && info.Size() == s.Size && info.ModTime().UnixNano() == s.ModTime, err
}

// Put implements [proptest.Versioned].
func (r *Registry) Put(m registry.Machine, c proptest.Condition) (registry.Revision, error) {
	if err := m.Validate(); err != nil {
		return 0, err
	}
	e, err := r.codec.Entry(m.Name, m)
	if err != nil {
		return 0, err
	}
	return r.write(func(edit *editor) error {
		if err := check(edit, m.Name, c); err != nil {
			return err
		}
		edit.Apply(write{Put: []snapshot.Entry[registry.Machine]{e}})
		return nil
	})
}

// Delete implements [proptest.Versioned].
func (r *Registry) Delete(name string, c proptest.Condition) (registry.Revision, error) {
	if r.codec.Builtin(name) {
		return 0, registry.ErrBuiltin
	}
	return r.write(func(edit *editor) error {
		if err := check(edit, name, c); err != nil {
			return err
		}
		if !edit.Apply(write{Remove: []string{name}}) {
			return registry.ErrNotFound
		}
		return nil
	})
}

func check(edit *editor, name string, c proptest.Condition) error {
	if c.Absent && edit.Holds(name) {
		return registry.ErrExists
	}
	if c.At != nil && *c.At != edit.Revision() {
		return registry.ErrConflict
	}
	return nil
}

// Add implements [proptest.Subject].
func (r *Registry) Add(m registry.Machine) error {
	_, err := r.Put(m, proptest.Condition{})
	return err
}

// Remove implements [proptest.Subject].
func (r *Registry) Remove(name string) error {
	_, err := r.Delete(name, proptest.Condition{})
	return err
}

// tx implements [proptest.Tx].
type tx struct {
	registry *Registry
	base     *machines
	read     map[string]bool
	ranged   bool
	written  map[string]*snapshot.Entry[registry.Machine] // nil: removed
}

// Begin implements [proptest.Transactional].
func (r *Registry) Begin() proptest.Tx {
	return &tx{r, r.shown.Load().snap, make(map[string]bool), false, make(map[string]*snapshot.Entry[registry.Machine])}
}

// Update implements [proptest.Transactional]. With some faults a handle never
// gets to see what it conflicts with, so it gives up at last.
func (r *Registry) Update(fn func(proptest.Tx) error) (registry.Revision, error) {
	const tries = 1000
	for range tries {
		t := r.Begin()
		if err := fn(t); err != nil {
			return 0, err
		}
		rev, err := t.Commit()
		if !errors.Is(err, registry.ErrConflict) {
			return rev, err
		}
	}
	return 0, fmt.Errorf("%d conflicts in a row", tries)
}

func (t *tx) Revision() registry.Revision { return t.base.Revision() }

func (t *tx) Get(name string) (m registry.Machine, err error) {
	there := false
	if e, wrote := t.written[name]; !wrote {
		t.read[name] = true
		m, there = t.base.Get(name)
	} else if e != nil {
		m, there = t.registry.codec.Value(*e), true
	}
	if !there {
		err = fmt.Errorf("machine %q: %w", name, registry.ErrNotFound)
	}
	return m, err
}

func (t *tx) All() iter.Seq2[string, registry.Machine] {
	t.ranged = true
	edit := t.base.Edit()
	edit.Apply(t.write())
	return edit.Snapshot().All()
}

func (t *tx) Put(m registry.Machine) error {
	if err := m.Validate(); err != nil {
		return err
	}
	e, err := t.registry.codec.Entry(m.Name, m)
	t.written[m.Name] = &e
	return err
}

func (t *tx) Remove(name string) error {
	if t.registry.codec.Builtin(name) {
		return registry.ErrBuiltin
	}
	e, wrote := t.written[name]
	if !wrote {
		t.read[name] = true
	}
	if wrote && e == nil || !wrote && !t.base.Holds(name) {
		return fmt.Errorf("machine %q: %w", name, registry.ErrNotFound)
	}
	t.written[name] = nil
	return nil
}

func (t *tx) write() (w write) {
	for name, e := range t.written {
		if e == nil {
			w.Remove = append(w.Remove, name)
		} else {
			w.Put = append(w.Put, *e)
		}
	}
	return w
}

func (t *tx) Commit() (registry.Revision, error) {
	return t.registry.write(func(edit *editor) error {
		for name := range t.read {
			if !edit.SameEntry(t.base, name) {
				return fmt.Errorf("machine %q: %w", name, registry.ErrConflict)
			}
		}
		if t.ranged && t.registry.fault != NamesOnly && !snapshot.SameEntries(t.base, edit.Snapshot()) {
			return registry.ErrConflict
		}
		edit.Apply(t.write())
		return nil
	})
}
