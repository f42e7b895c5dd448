package peer

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/machreg/machreg/cmd/bench/internal/fleet"
	"github.com/machreg/machreg/registry"
)

var floorKind = Kind{
	Name: Floor,
	Note: "reads: an atomic pointer to a map, and a copy of the value; writes: the same number of bytes, written, synced, renamed, directory synced, and nothing else",
	Open: func(dir string, _ Options) (Store, error) { return OpenBottom(dir) },
	Fill: fillMachreg,
}

// Bottom is the least that any store of this kind must do. Its writes change
// no machine: they write the file again.
type Bottom struct {
	at    atomic.Pointer[map[string]*fleet.Machine]
	order []*fleet.Machine

	mu   sync.Mutex
	dir  string
	data []byte
}

// OpenBottom takes its machines and its bytes from the registry file in dir.
func OpenBottom(dir string) (*Bottom, error) {
	data, err := os.ReadFile(MachregPath(dir))
	if err != nil {
		return nil, err
	}
	f := &Bottom{dir: dir, data: data}
	r, err := OpenMachreg(dir, &registry.Options{MaxSize: MaxFile, Refresh: registry.RefreshNever})
	if err != nil {
		return nil, err
	}
	all := make(map[string]*fleet.Machine, r.Len())
	for name, m := range r.All() {
		m := &m
		all[strings.Clone(name)] = m
		f.order = append(f.order, m)
	}
	f.at.Store(&all)
	return f, r.Close()
}

// Get implements [Store]. It is kept out of line, as any library's is for a
// value of this size: inlined, the copy that is part of the floor would go.
//
//go:noinline
func (f *Bottom) Get(name string) (fleet.Machine, error) {
	m, ok := (*f.at.Load())[name]
	if !ok {
		return fleet.Machine{}, ErrNotFound
	}
	return *m, nil
}

// Add implements [Adder].
func (f *Bottom) Add(fleet.Machine) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return Replace(MachregPath(f.dir), f.data)
}

// Replace is the floor of a durable commit.
func Replace(path string, data []byte) error {
	temp := path + ".floor"
	file, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = file.Write(data)
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return err
	}
	if err := os.Rename(temp, path); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// List implements [Lister]: one copy of every value.
func (f *Bottom) List() (int, error) {
	list := make([]fleet.Machine, 0, len(f.order))
	for _, m := range f.order {
		list = append(list, *m)
	}
	return len(list), nil
}

// Range implements [Lister].
func (f *Bottom) Range(yield func(m *fleet.Machine) bool) error {
	for m := range slices.Values(f.order) {
		value := *m
		if !yield(&value) {
			break
		}
	}
	return nil
}

// Close implements [Store].
func (f *Bottom) Close() error { return nil }
