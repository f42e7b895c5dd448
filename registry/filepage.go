package registry

import (
	"hash/fnv"
	"path/filepath"

	"github.com/machreg/machreg/internal/vfs"
)

// weakPage makes every page of this process skip its odd phase; the tests set
// it to show that they would find the stale reads that follow.
var weakPage bool

// pageBinding tells the pages of two registries apart that share a lock
// directory and a file name. In its own lock directory a registry is alone.
func pageBinding(path, lockDir string) uint64 {
	if lockDir == "" {
		return 0
	}
	h := fnv.New64a()
	h.Write([]byte(filepath.Base(path)))
	// The directory by its identity, not its name: containers may see the same
	// one at different places.
	if info, err := vfs.OS.Stat(filepath.Dir(path)); err == nil {
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
	// Taking the lock would bring back a directory that somebody removed.
	if _, err := s.opts.FS.Stat(s.file.Path()); err != nil {
		return
	}
	held, err := s.lock.TryLock()
	if err != nil {
		return
	}
	defer held.Unlock()
	s.mu <- struct{}{}
	defer s.release()
	defer s.letGoLocked()
	if err := s.page.Create(); err != nil {
		return
	}
	if m := s.page.Mapping(); m != nil && m.Sequence()%2 == 1 {
		// The lock is free, so whoever made it odd is dead. What it renamed,
		// or did not, has to be looked at before it can be called published.
		if _, err := s.refreshLocked(); err != nil {
			return
		}
		s.page.End(uint64(s.loaded.Load().version.Snapshot.Revision()))
	}
	s.refreshLocked()
}

// maintain looks after what only a timer can: a lost watch; a page that was
// deleted or replaced, or left odd by a writer that died.
func (s *fileStore[V]) maintain() {
	s.watcher.check()
	if s.opts.Page == PageOff {
		return
	}
	s.page.Check()
	if m := s.page.Mapping(); m == nil && s.page.Repairable() || m != nil && m.Sequence()%2 == 1 {
		s.repairPage()
	}
}
