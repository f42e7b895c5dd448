package proptest

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/machreg/machreg/registry"
)

// Way is one way to open a handle on a registry that other handles are opened
// on in other ways.
type Way struct {
	// Name tells it from the others; failures print it.
	Name string
	Open New
	// ReadOnly says that every write is refused with registry.ErrReadOnly.
	ReadOnly bool
	// MaxSize is the largest file that the handle reads or writes; 0 is any.
	MaxSize int64
	// Unsynced says that a loss of power may undo what it acknowledges.
	Unsynced bool
	// Fixed says that the path or the lock directory is given by another name
	// than the registry's directory, so that it does not move where that does.
	Fixed bool
}

// smallest is the MaxSize of the ways that have one.
const smallest = 64 << 10

// MixedWays are the ways to open this module's registry that handles may mix:
// sync, refresh, page and group limit in all combinations, the path and the lock
// directory spelled in several ways, some of them for reading only or with a
// MaxSize.
func MixedWays() []Way {
	var all []Way
	for _, place := range spellings() {
		for _, refresh := range []registry.RefreshPolicy{registry.RefreshNever, registry.RefreshWatch, registry.RefreshPoll} {
			for _, page := range []registry.PagePolicy{registry.PageAuto, registry.PageOff} {
				add := func(more string, o registry.Options) {
					o.Refresh, o.Page, o.PollInterval = refresh, page, pollInterval(refresh)
					all = append(all, Way{
						Name:     fmt.Sprintf("%s, refresh %d, page %d, %s", place.name, refresh, page, more),
						Open:     place.open(o),
						ReadOnly: o.ReadOnly,
						MaxSize:  o.MaxSize,
						Unsynced: o.Sync == registry.SyncNone,
						Fixed:    place.relative || place.linked || place.lockDir != "",
					})
				}
				add("sync none", registry.Options{Sync: registry.SyncNone})
				add("sync none, group limit 1", registry.Options{Sync: registry.SyncNone, GroupLimit: 1})
				add("sync none, group limit 2", registry.Options{Sync: registry.SyncNone, GroupLimit: 2})
				add("sync full", registry.Options{})
				add("sync none, small", registry.Options{Sync: registry.SyncNone, MaxSize: smallest})
				add("read only", registry.Options{ReadOnly: true})
			}
		}
	}
	return all
}

// pollInterval makes polling handles look often enough to get in the way.
func pollInterval(p registry.RefreshPolicy) time.Duration {
	if p == registry.RefreshPoll {
		return time.Millisecond
	}
	return 0
}

// spelling is one way to write the path of the registry and of its lock
// directory. Both are in the registry's directory, or relative to it.
type spelling struct {
	name, path, lockDir string
	relative            bool // the working directory is left after Open
	linked              bool // needs the link
}

const (
	ownLockDir = ".gastown/locks" // the default, relative to the registry's directory
	ownLink    = ".here"          // a link to the registry's directory in itself
)

func spellings() []spelling {
	return []spelling{
		{name: "plain", path: FileName},
		{name: "relative path", path: FileName, relative: true},
		{name: "path through a link", path: ownLink + "/" + FileName, linked: true},
		{name: "lock directory spelled out", path: FileName, lockDir: ownLockDir},
		{name: "lock directory relative", path: FileName, lockDir: ownLockDir, relative: true},
		{name: "lock directory through a link", path: FileName, lockDir: ownLink + "/" + ownLockDir, linked: true},
	}
}

func (s spelling) open(o registry.Options) New {
	return func(dir string) (Subject, error) {
		if s.linked {
			if err := os.Symlink(".", filepath.Join(dir, ownLink)); err != nil && !os.IsExist(err) {
				s.path, s.lockDir = FileName, "" // a platform that lets nobody make links
			}
		}
		o := o
		where := func(name string) string {
			if s.relative {
				return filepath.FromSlash(name)
			}
			return filepath.Join(dir, filepath.FromSlash(name))
		}
		if s.lockDir != "" {
			o.LockDir = where(s.lockDir)
		}
		if !s.relative {
			return openMachinesAt(where(s.path), o)
		}
		return within(dir, func() (Subject, error) { return openMachinesAt(where(s.path), o) })
	}
}

// changing guards the process's working directory.
var changing sync.Mutex

// within calls open with dir as the working directory, and leaves it again.
func within(dir string, open func() (Subject, error)) (_ Subject, err error) {
	changing.Lock()
	defer changing.Unlock()
	before, err := os.Getwd()
	if err != nil {
		return nil, err
	}
	if err := os.Chdir(dir); err != nil {
		return nil, err
	}
	s, err := open()
	if cerr := os.Chdir(before); cerr != nil && err == nil {
		closeSubject(s)
		return nil, cerr
	}
	return s, err
}

// find is the function that opens a handle in the way of that name, of no name
// the subject's own.
func find(ways []Way, name string, own New) (New, error) {
	if name == "" {
		return own, nil
	}
	for _, w := range ways {
		if w.Name == name {
			return w.Open, nil
		}
	}
	return nil, fmt.Errorf("proptest: no way to open a handle is called %q: TestMain has to give it to proptest.Main", name)
}
