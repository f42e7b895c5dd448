package snapshot

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"path/filepath"
	"strconv"

	"github.com/machreg/machreg/internal/vfs"
)

// Pending is a new version of the file, complete and synced under a temporary
// name. It ends by Publish or by Discard.
//
// What a crash leaves: before Publish, the old version and a temporary file
// that a later writer sweeps; after it, the new version whole, since its bytes
// were synced before the rename. Between Publish and SyncDir a loss of power
// may bring the old version back.
type Pending[V any] struct {
	file *File[V]
	temp vfs.File
	next *Version[V]
}

// Prepare writes next to a temporary file beside the registry file: with the
// mode and, where allowed, the owner of the version prev, with a modification
// time after prev's, and synced. After an error nothing is left.
func (f *File[V]) Prepare(prev *Version[V], next *Snapshot[V]) (*Pending[V], error) {
	if err := f.checkLinks(prev.info); err != nil {
		return nil, err
	}
	temp, err := f.createTemp(prev)
	if err != nil {
		return nil, fmt.Errorf("write registry file %q: %w", f.path, err)
	}
	p := &Pending[V]{file: f, temp: temp}
	if err := p.fill(prev, next); err != nil {
		return nil, errors.Join(fmt.Errorf("write registry file %q: %w", f.path, err), p.Discard())
	}
	return p, nil
}

func (f *File[V]) createTemp(prev *Version[V]) (vfs.File, error) {
	perm := fs.FileMode(0o644)
	if prev.exists {
		perm = prev.info.Mode.Perm()
	}
	for {
		name := f.tempPrefix() + strconv.FormatUint(rand.Uint64()|1<<63, 36) + tempSuffix
		temp, err := f.fs.Create(filepath.Join(f.dir, name), perm)
		if !errors.Is(err, fs.ErrExist) {
			return temp, err
		}
	}
}

// isRandom recognises what createTemp puts into a name.
func isRandom(s string) bool {
	n, err := strconv.ParseUint(s, 36, 64)
	return err == nil && n >= 1<<63
}

func (p *Pending[V]) fill(prev *Version[V], next *Snapshot[V]) error {
	head := headWriter{w: p.temp}
	if err := next.Encode(&head); err != nil {
		return err
	}
	info, err := p.temp.Stat()
	if err != nil {
		return err
	}
	if info.Size > p.file.opts.MaxSize {
		return p.file.tooLarge(info.Size)
	}
	changed := false
	if prev.exists {
		if changed, err = p.keepAttributes(info, prev.info); err != nil {
			return err
		}
	}
	// Versions of the file are strictly ordered in time, whatever the clock
	// and its resolution do.
	if prev.exists && info.ModTime <= prev.info.ModTime {
		if err := p.temp.SetModTime(prev.info.ModTime + 1); err != nil {
			return err
		}
		changed = true
	}
	if changed {
		if info, err = p.temp.Stat(); err != nil {
			return err
		}
	}
	if !p.file.opts.NoSync {
		if err := p.temp.Sync(); err != nil {
			return err
		}
	}
	p.next = &Version[V]{Snapshot: next, Claimed: next.revision, exists: true, info: info, head: string(head.first)}
	return nil
}

// keepAttributes gives the temporary file the owner and mode of the one it
// replaces. An owner that this process may not give away is not kept.
func (p *Pending[V]) keepAttributes(have, want vfs.Info) (changed bool, err error) {
	if have.UID != want.UID || have.GID != want.GID {
		switch err := p.temp.Chown(want.UID, want.GID); {
		case err == nil:
			changed = true
		case !errors.Is(err, fs.ErrPermission):
			return false, err
		}
	}
	// After chown, which clears bits; the umask may have taken some as well.
	if changed || have.Mode.Perm() != want.Mode.Perm() {
		if err := p.temp.Chmod(want.Mode.Perm()); err != nil {
			return false, err
		}
		changed = true
	}
	return changed, nil
}

// Fence reports ErrChanged if the file is no longer version prev. Between it
// and Publish lies the only moment at which a writer that takes no lock can be
// overwritten unseen.
func (p *Pending[V]) Fence(prev *Version[V]) error {
	info, err := p.file.fs.Stat(p.file.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if prev.exists {
			return ErrChanged
		}
		return nil
	case err != nil:
		return fmt.Errorf("write registry file %q: %w", p.file.path, err)
	case !prev.exists || stampOf(info) != stampOf(prev.info):
		return ErrChanged
	}
	return p.file.checkLinks(info)
}

// Publish renames the pending version over the file. If it fails, the file is
// as it was and the pending version is discarded.
func (p *Pending[V]) Publish() (*Version[V], error) {
	err := p.file.fs.Rename(p.temp.Name(), p.file.path)
	if err != nil {
		// A network file system may report the failure of a rename that
		// happened; what is at the path tells.
		if info, serr := p.file.fs.Stat(p.file.path); serr == nil && info.SameFile(p.next.info) {
			err = nil
		}
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("replace registry file: %w", err), p.Discard())
	}
	if vfs.InodesRecycle {
		p.next.pin = p.temp
		return p.next, nil
	}
	// The bytes are written and synced: a failing close has nothing to say.
	p.temp.Close()
	return p.next, nil
}

// Discard removes the temporary file.
func (p *Pending[V]) Discard() error {
	p.temp.Close()
	if err := p.file.fs.Remove(p.temp.Name()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove temporary file: %w", err)
	}
	return nil
}

// SyncDir makes a Publish durable.
func (f *File[V]) SyncDir() error {
	if f.opts.NoSync {
		return nil
	}
	return f.fs.SyncDir(f.dir)
}

func (f *File[V]) checkLinks(info vfs.Info) error {
	if info.Links <= 1 || f.opts.SplitHardLinks {
		return nil
	}
	return fmt.Errorf("write registry file %q: %w (%d): a rewrite would leave the others behind; remove them, or set SplitHardLinks", f.path, ErrHardLinks, info.Links)
}

// headWriter remembers the first bytes that pass.
type headWriter struct {
	w     vfs.File
	first []byte
}

func (h *headWriter) Write(p []byte) (int, error) {
	if n := headSize - len(h.first); n > 0 {
		h.first = append(h.first, p[:min(n, len(p))]...)
	}
	return h.w.Write(p)
}
