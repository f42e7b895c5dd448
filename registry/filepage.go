package registry

import (
	"context"
	"hash/fnv"
	"path/filepath"

	"github.com/machreg/machreg/internal/page"
	"github.com/machreg/machreg/internal/vfs"
)

// weakPage makes every page of this process skip its odd phase; the tests set
// it to show that they would find the stale reads that follow.
var weakPage bool

// pageBinding tells the records of two registries apart that share a lock
// directory and a file name.
func pageBinding(target string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(filepath.Base(target)))
	// The directory by its identity, not its name: containers may see the same
	// one at different places.
	if info, err := vfs.OS.Stat(filepath.Dir(target)); err == nil {
		for _, word := range []uint64{info.Device, info.Inode} {
			var b [8]byte
			for i := range b {
				b[i] = byte(word >> (8 * i))
			}
			h.Write(b[:])
		}
	}
	return h.Sum64()
}

// repairPage gives the registry a page if it has none, and ends the odd phase
// that a writer left when it died, if the lock is free now. Failing at that is
// not an error: readers compare stamps, and the next commit repairs it too.
func (s *fileStore[V]) repairPage() {
	if s.opts.ReadOnly || s.opts.Page == PageOff || !s.loaded.Load().version.Exists() {
		return
	}
	// Taking the lock would bring back a lock directory that was removed.
	if _, err := s.opts.FS.Stat(s.path); err != nil {
		return
	}
	at := s.site.Load()
	held, err := at.takeLock(at.lock.TryLock)
	if err != nil {
		return
	}
	defer held.Unlock()
	s.mu <- struct{}{}
	defer s.release()
	defer s.letGoLocked()
	if at.page.Create() != nil {
		return
	}
	if m := at.page.Mapping(); m != nil && m.Sequence()%2 == 1 {
		// The lock is free, so the process that made it odd is dead. What it
		// renamed, or did not, has to be looked at before it can be called
		// published.
		if _, err := s.refreshLocked(); err != nil || s.site.Load() != at {
			return
		}
		known := at.known()
		if at.page.Begin(reserved(known.Reserved)) != nil {
			return
		}
		if s.loaded.Load().version.Published == known.Reserved {
			at.page.End(page.Published)
		} else {
			at.page.Abandon()
		}
	}
	s.refreshLocked()
}

// maintain looks after what only a timer can: a path that leads elsewhere; a
// lost watch; a page that was deleted or replaced, or left odd by a writer that
// died.
func (s *fileStore[V]) maintain() {
	s.relocate() // an error is met again by the refresh
	s.watcher.check()
	s.survey()
	if s.opts.Page == PageOff {
		return
	}
	at := s.site.Load()
	at.page.Check()
	if m := at.page.Mapping(); m == nil && at.page.Repairable() || m != nil && m.Sequence()%2 == 1 {
		s.repairPage()
	}
}

// relocate follows the path where nothing else makes the handle look.
func (s *fileStore[V]) relocate() error {
	if err := s.acquire(context.Background()); err != nil {
		return err
	}
	defer s.release()
	_, err := s.resolve()
	return err
}
