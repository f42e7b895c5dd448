package registry

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"

	"github.com/machreg/machreg/filelock"
	"github.com/machreg/machreg/internal/page"
	"github.com/machreg/machreg/internal/vfs"
	"github.com/machreg/machreg/snapshot"
)

// site is a place that the registry's path leads to: the file there, and what
// belongs to it. A path can be turned elsewhere while a handle has it open: the
// file is moved and a link left behind, or a link on the way is replaced. What
// is read is always what the path leads to, because reading follows the path;
// what belongs to the place moves when the handle notices: at every commit,
// under the lock, whenever the file is another one, and every PollInterval.
type site[V any] struct {
	target  string
	binding uint64
	file    *snapshot.File[V]
	lock    *filelock.Lock
	home    string // the directory beside the file that is the library's own; empty if LockDir was given
	page    *page.Page
	entered atomic.Bool // a commit of this handle has had the lock
}

// siteAt names a site and touches nothing.
func (s *fileStore[V]) siteAt(route vfs.Route) *site[V] {
	target := route.Target
	lockDir, base, home := s.opts.LockDir, "", ""
	if lockDir == "" {
		base = filepath.Dir(target)
		lockDir = filepath.Join(base, filepath.FromSlash(defaultLockDir))
		home = filepath.Dir(lockDir)
	}
	newPage := page.New
	if s.opts.Page == PageOff {
		newPage = page.Unmapped
	}
	binding := pageBinding(target)
	at := &site[V]{
		target:  target,
		binding: binding,
		file: snapshot.NewFile(s.path, target, s.codec, snapshot.FileOptions{
			MaxSize:          s.opts.MaxSize,
			SplitHardLinks:   s.opts.SplitHardLinks,
			ReplaceProtected: s.opts.ReplaceProtected,
			TempDir:          lockDir,
			FS:               s.opts.FS,
		}),
		lock: filelock.New(lockIn(lockDir, target), &filelock.Options{Timeout: s.opts.LockTimeout, Program: s.opts.Program, Base: base, Like: filepath.Dir(target)}),
		home: home,
		page: newPage(pageIn(lockDir, target), binding),
	}
	at.page.NoOddPhase = weakPage
	return at
}

// place is where the site's file and lock are.
func (at *site[V]) place() place { return place{at.target, filepath.Dir(at.lock.Path())} }

// known is what the page says of the revisions there.
func (at *site[V]) known() snapshot.Known {
	// A page that cannot be read is one that readers do without; a writer is
	// told when it makes the page odd.
	r, _ := at.page.Record()
	return snapshot.Known{Published: published(r.Published), Reserved: published(r.Reserved), Old: r.Old}
}

func published(r page.Revision) snapshot.Published {
	return snapshot.Published{Revision: Revision(r.Number), Sum: r.Sum}
}

func reserved(p snapshot.Published) page.Revision {
	return page.Revision{Number: uint64(p.Revision), Sum: p.Sum}
}

// follow makes the site the place that the path leads to now; s.mu is held. A
// path that leads over no link is not resolved again while the directory is the
// same: two looks, however deep it is.
func (s *fileStore[V]) follow() (*site[V], error) {
	at := s.site.Load()
	if at.target == s.path && pageBinding(s.path) == at.binding {
		if info, err := s.opts.FS.Lstat(s.path); err != nil || info.Mode&fs.ModeSymlink == 0 {
			return at, nil // a path that cannot be looked at fails the load
		}
	}
	return s.resolve()
}

// resolve is follow from the path's first element on.
func (s *fileStore[V]) resolve() (*site[V], error) {
	at := s.site.Load()
	route, err := s.opts.FS.Resolve(s.path)
	if err != nil {
		return nil, fmt.Errorf("registry file: %w", err)
	}
	s.watcher.follow(route)
	switch {
	case route.Target != at.target:
		s.log.Info("the registry's path leads elsewhere", "from", at.target, "to", route.Target)
	case pageBinding(at.target) == at.binding:
		return at, nil // else its directory was made, or is another one
	}
	at = s.siteAt(route)
	s.site.Store(at)
	s.survey()
	// The page of the other place says nothing of this one.
	if l := s.loaded.Load(); l != nil {
		s.replace(&loaded[V]{version: l.version})
	}
	s.swept.Store(false)
	s.watcher.check()
	return at, nil
}

// makeParents makes the directories above a registry that was never written,
// and makes their names durable, for others if not for this handle. Those that
// are there may have been made by a process that died before it could.
func (s *fileStore[V]) makeParents(target string) error {
	fsys := s.opts.FS
	var missing []string
	dir := filepath.Dir(target)
	for {
		_, err := fsys.Stat(dir)
		if err == nil {
			break
		}
		if parent := filepath.Dir(dir); !errors.Is(err, fs.ErrNotExist) || parent == dir {
			return fmt.Errorf("make the registry's directory: %w", err)
		}
		missing = append(missing, dir)
		dir = filepath.Dir(dir)
	}
	for i := len(missing) - 1; i >= 0; i-- {
		err := fsys.Mkdir(missing[i], 0o777)
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("make the registry's directory: %w", err)
		}
		if err == nil {
			vfs.GiveToOwner(fsys, missing[i])
		}
	}
	for dir := filepath.Dir(target); ; dir = filepath.Dir(dir) {
		parent := filepath.Dir(dir)
		if parent == dir {
			return nil
		}
		// A directory that may not be read was not made for this registry.
		if err := vfs.SyncDir(fsys, parent); err != nil && !errors.Is(err, fs.ErrPermission) {
			return fmt.Errorf("make the registry's directory durable: %w", err)
		}
	}
}

// takeLock takes the lock by means of take. If that makes the library's own
// directory, a .gitignore is put there. Failing to is no error, and one that is
// there stays.
func (at *site[V]) takeLock(take func() (*filelock.Held, error)) (*filelock.Held, error) {
	missing := false
	if at.home != "" && !at.entered.Load() {
		_, err := os.Lstat(at.home)
		missing = errors.Is(err, fs.ErrNotExist)
	}
	held, err := take()
	if err == nil && missing {
		ignoreAll(at.home)
	}
	return held, err
}

func ignoreAll(dir string) {
	f, err := os.OpenFile(filepath.Join(dir, ".gitignore"), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return
	}
	defer f.Close()
	if info, err := vfs.OS.Stat(dir); err == nil {
		vfs.HandOver(f, info)
	}
	_, _ = f.Write([]byte("*\n"))
}

// isUntouched reports whether there is no registry at the site, nor a trace of
// one: taking the lock would make directories.
func (s *fileStore[V]) isUntouched(at *site[V]) (bool, error) {
	if s.loaded.Load().version.Exists() {
		return false, nil
	}
	_, err := os.Lstat(filepath.Dir(at.lock.Path()))
	if errors.Is(err, fs.ErrPermission) {
		return false, nil // taking the lock tells more
	}
	if err == nil {
		_, err = s.opts.FS.Stat(filepath.Dir(at.target))
	}
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	return false, err
}
