package snapshot

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"path/filepath"
	"strconv"
	"syscall"

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
	// like is the file at the path when the mode and the owner were taken over
	// from it.
	like vfs.Info
	next *Version[V]
	// locked is the version being replaced, from LockVersion on.
	locked vfs.File
	// discarded is set when the temporary file was there and was removed.
	discarded bool
}

// Prepare writes next to a temporary file: with the
// mode that the file has now and, where allowed, the owner and the group, with
// a modification time after prev's, and synced. Where the group cannot be kept
// the new one gets no more rights than everybody has. Access control lists and
// extended attributes are not kept. After an error nothing is left.
func (f *File[V]) Prepare(prev *Version[V], next *Snapshot[V]) (*Pending[V], error) {
	if next.revision > MaxRevision {
		return nil, fmt.Errorf("write registry file %q: no revision is left above %d, which it claims to be: correct that by hand", f.path, MaxRevision)
	}
	// Not prev's own attributes: they may have been changed since it was
	// loaded, without making it another version.
	like, err := f.fs.Lstat(f.place)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("write registry file %q: %w", f.path, err)
	}
	if err != nil || !prev.exists { // Fence has the say on what does not agree
		like = prev.info
	}
	if err := f.checkReplaceable(like); err != nil {
		return nil, err
	}
	perm := fs.FileMode(0o644)
	if prev.exists {
		perm = like.Mode.Perm()
	}
	temp, err := f.createTemp(perm)
	if err != nil {
		return nil, fmt.Errorf("write registry file %q: %w", f.path, err)
	}
	p := &Pending[V]{file: f, temp: temp, like: like}
	if err := p.fill(prev, next); err != nil {
		return nil, errors.Join(fmt.Errorf("write registry file %q: %w", f.path, err), p.Discard())
	}
	return p, nil
}

func (f *File[V]) createTemp(perm fs.FileMode) (temp vfs.File, err error) {
	dirs := f.tempDirs()
	if f.elsewhere.Load() {
		dirs = []string{f.dir}
	}
	for _, dir := range dirs {
		temp, err = f.createIn(dir, perm)
		if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrPermission) {
			break
		}
	}
	if err == nil && vfs.InodesRecycle {
		// Nobody may replace it before Release; nobody else can have it yet.
		temp.TryLock()
	}
	return temp, err
}

func (f *File[V]) createIn(dir string, perm fs.FileMode) (temp vfs.File, err error) {
	const attempts = 100 // of a name that nobody else can have by chance
	for range attempts {
		if temp, err = f.fs.Create(filepath.Join(dir, f.tempName()), perm); !errors.Is(err, fs.ErrExist) {
			break
		}
	}
	return temp, err
}

func (f *File[V]) tempName() string {
	return f.tempPrefix() + formatRandom(rand.Uint64()|1<<63) + tempSuffix
}

func formatRandom(n uint64) string { return strconv.FormatUint(n, 36) }

// isRandom recognises what createTemp puts into a name.
func isRandom(s string) bool {
	n, err := strconv.ParseUint(s, 36, 64)
	return err == nil && n >= 1<<63 && s == formatRandom(n)
}

func (p *Pending[V]) fill(prev *Version[V], next *Snapshot[V]) error {
	out := fileWriter{w: p.temp}
	sum, err := next.encode(&out)
	if err != nil {
		return err
	}
	info, err := p.temp.Stat()
	if err != nil {
		return err
	}
	if info.Size > p.file.opts.MaxSize {
		return p.file.tooLarge(info.Size)
	}
	if prev.exists {
		if info, err = p.keepAttributes(info); err != nil {
			return err
		}
		if info, err = p.orderAfter(prev.info.ModTime, info); err != nil {
			return err
		}
	} else if info, err = p.giveToOwner(info); err != nil {
		return err
	}
	// Whatever this handle was told about its own writes: what others were
	// promised is in the version that this one replaces.
	if err := p.temp.Sync(); err != nil {
		return err
	}
	p.next = &Version[V]{Snapshot: next, Published: Published{next.revision, sum}, exists: true, info: info, head: string(out.head)}
	return nil
}

// keepAttributes gives the temporary file, which is as in have, the owner and
// mode of the one it replaces. What the system refuses to set is no reason not to
// write: ids that a user namespace does not map, file systems without modes. But
// the file is never open to more users than before.
func (p *Pending[V]) keepAttributes(have vfs.Info) (vfs.Info, error) {
	want := p.like
	mode := want.Mode.Perm()
	if have.UID != want.UID || have.GID != want.GID {
		err := p.temp.Chown(want.UID, want.GID)
		if isRefused(err) { // the group may be had without the owner
			err = p.temp.Chown(-1, want.GID)
		}
		if err != nil && !isRefused(err) {
			return have, err
		}
		if have, err = p.temp.Stat(); err != nil {
			return have, err
		}
		if have.GID != want.GID {
			mode = vfs.WithoutGroup(mode)
		}
	}
	// After chown, which clears bits; the umask may have taken some as well.
	if have.Mode.Perm() == mode {
		return have, nil
	}
	if err := p.temp.Chmod(mode); err != nil && (!isRefused(err) || have.Mode.Perm()&^mode != 0) {
		return have, err
	}
	return p.temp.Stat()
}

// isRefused recognises a chown or chmod that this process, this file system or
// this system does not allow.
func isRefused(err error) bool {
	return errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EINVAL) || errors.Is(err, errors.ErrUnsupported)
}

// giveToOwner gives a registry file that root makes to the owner of its
// directory.
func (p *Pending[V]) giveToOwner(have vfs.Info) (vfs.Info, error) {
	dir, err := p.file.fs.Stat(p.file.dir)
	if err != nil || !vfs.BelongsTo(have, dir) {
		return have, nil
	}
	if err := p.temp.Chown(dir.UID, dir.GID); err != nil {
		return have, nil
	}
	return p.temp.Stat()
}

// orderAfter makes the temporary file's modification time come after that of
// the version before, so that versions are strictly ordered in time whatever
// the clock does. The steps are the resolutions that file systems have.
func (p *Pending[V]) orderAfter(before int64, have vfs.Info) (vfs.Info, error) {
	for _, step := range []int64{1, 100, 1e3, 1e6, 1e9, 2e9} {
		if have.ModTime > before {
			break
		}
		if err := p.temp.SetModTime(before + step); err != nil {
			return have, err
		}
		var err error
		if have, err = p.temp.Stat(); err != nil {
			return have, err
		}
	}
	return have, nil
}

// LockVersion locks the version that is to be replaced, through its own
// descriptor, until Release or Discard, and reports whether it could. Two
// writers can both be at work if somebody has deleted the lock file under them:
// of two that go by the same version, one finds it locked, or replaced. A
// program that locks the registry file itself is met here too. ErrChanged is a
// version that this handle has let go of.
func (p *Pending[V]) LockVersion(prev *Version[V]) (bool, error) {
	if prev.pin == nil {
		return true, nil
	}
	ok, err := prev.pin.TryLock()
	if err != nil {
		return false, ErrChanged
	}
	if ok {
		p.locked = prev.pin
	}
	return ok, nil
}

// Fence reports ErrChanged if the file is no longer version prev, has got
// another mode or owner since Prepare took them over, or if the path leads
// elsewhere. Between it and Publish lies the only moment at which a writer that
// takes no lock can be overwritten unseen.
func (p *Pending[V]) Fence(prev *Version[V]) error {
	f := p.file
	look := []func(string) (vfs.Info, error){f.fs.Lstat}
	names := []string{f.place}
	if f.path != f.place {
		look, names = append(look, f.fs.Stat), append(names, f.path)
	}
	for i, name := range names {
		info, err := look[i](name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			if prev.exists {
				return ErrChanged
			}
			continue
		case err != nil:
			return fmt.Errorf("write registry file %q: %w", f.path, err)
		case !prev.exists || stampOf(info) != stampOf(prev.info),
			info.Mode != p.like.Mode, info.UID != p.like.UID, info.GID != p.like.GID:
			return ErrChanged
		}
		if err := f.checkReplaceable(info); err != nil {
			return err
		}
	}
	return nil
}

// Publish renames the pending version over the file. If it fails, the file is
// as it was and the pending version is discarded; an error matching ErrChanged
// says that the next attempt will be made in another way. One matching
// ErrInDoubt says that the file may be either version. After one matching
// [vfs.ErrInUse] the pending version is still there: Publish can be tried again,
// after another Fence.
func (p *Pending[V]) Publish() (*Version[V], error) {
	if err := p.file.fs.Rename(p.temp.Name(), p.file.place); err != nil {
		// A network file system may report the failure of a rename that
		// happened; what is at the path tells.
		info, serr := p.file.fs.Lstat(p.file.place)
		if serr != nil || !info.SameFile(p.next.info) {
			err = fmt.Errorf("replace registry file: %w", err)
			if errors.Is(err, vfs.ErrInUse) {
				return nil, err
			}
			// The temporary file's directory may be on another file system,
			// or have been deleted with all that was in it.
			other := isOtherDevice(err) && !p.file.elsewhere.Swap(true)
			if other || errors.Is(err, fs.ErrNotExist) && serr == nil {
				err = fmt.Errorf("%w: %w", ErrChanged, err)
			}
			derr := p.Discard()
			if serr != nil && !errors.Is(serr, fs.ErrNotExist) && !p.discarded {
				// Nor was there a temporary file to remove, which would have
				// told that it was not renamed.
				err = fmt.Errorf("%w: %w (%w)", ErrInDoubt, err, serr)
			}
			return nil, errors.Join(err, derr)
		}
	}
	if vfs.InodesRecycle {
		p.next.pin = p.temp
		return p.next, nil
	}
	// The bytes are written and synced: a failing close has nothing to say.
	p.temp.Close()
	return p.next, nil
}

// Revision is what Publish puts in place.
func (p *Pending[V]) Revision() Published { return p.next.Published }

// Release lets other writers replace the published version. It follows a
// successful Publish, once all is said that readers must know. The version
// before stays locked until it is closed: there is nothing to replace any more.
func (p *Pending[V]) Release() {
	if p.next.pin != nil {
		p.next.pin.Unlock()
	}
}

// Discard removes the temporary file.
func (p *Pending[V]) Discard() error {
	if p.locked != nil {
		p.locked.Unlock() // or it is closed, which unlocks too
	}
	p.temp.Close()
	err := p.file.fs.Remove(p.temp.Name())
	p.discarded = err == nil
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove temporary file: %w", err)
	}
	return nil
}

// OpenDir opens the directory that a Publish renames in. Its Sync makes that
// durable, if it was opened before: it is then told of every failure since.
func (f *File[V]) OpenDir() (vfs.Dir, error) { return f.fs.OpenDir(f.dir) }

// checkReplaceable refuses to replace a file that is not meant to be. Renaming
// over it would ask for no permission to the file itself.
func (f *File[V]) checkReplaceable(info vfs.Info) error {
	switch {
	case info.Links > 1 && !f.opts.SplitHardLinks:
		return fmt.Errorf("write registry file %q: %w (%d): a rewrite would leave the others behind; remove them, or set SplitHardLinks", f.path, ErrHardLinks, info.Links)
	case info != (vfs.Info{}) && info.Mode&0o222 == 0 && !f.opts.ReplaceProtected:
		return fmt.Errorf("write registry file %q: %w (mode %v): make it writable (chmod u+w), or set ReplaceProtected", f.path, ErrProtected, info.Mode)
	}
	return nil
}

// fileWriter writes to a file that will be synced, and remembers the head.
type fileWriter struct {
	w       vfs.File
	head    []byte
	pending int // bytes that no sync has been started for
}

// syncAhead is how much of a large file is written between two starts of a
// sync, so that the disk is at work while the rest is encoded.
const syncAhead = 1 << 20

func (f *fileWriter) Write(p []byte) (int, error) {
	if n := headSize - len(f.head); n > 0 {
		f.head = append(f.head, p[:min(n, len(p))]...)
	}
	n, err := f.w.Write(p)
	if f.pending += n; f.pending >= syncAhead {
		f.w.StartSync()
		f.pending = 0
	}
	return n, err
}
