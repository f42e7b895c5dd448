package registry

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"

	"github.com/machreg/machreg/filelock"
	"github.com/machreg/machreg/internal/page"
	"github.com/machreg/machreg/internal/vfs"
	"github.com/machreg/machreg/snapshot"
)

// Access is what [Probe] has found.
type Access struct {
	// Target is the file that the path leads to: absolute and free of links.
	Target string
	// FileSystem is the name of the one that the file is on; empty if it cannot be
	// told.
	FileSystem string
	// Findings are everything that there is to say; empty where a write would
	// succeed and there is nothing else to know.
	Findings []*Obstacle
}

// Err returns what refuses writes, or nil if a write would succeed.
func (a *Access) Err() error {
	if o := refusal(a.Findings); o != nil {
		return o
	}
	return nil
}

// Probe finds out whether a registry can be written at path by this user with
// opts, and safely shared, whether or not it exists. It tries the lock, without
// waiting for it, and makes, renames and removes a temporary file under the lock;
// nothing is left, no reader is disturbed, and no revision is made. Whether what
// the file holds can be used is not asked. With Options.ReadOnly it tries nothing,
// and reports what concerns readers only.
//
// The error is one of the path or the options, or that of ctx, which is looked at
// between the steps.
func Probe(ctx context.Context, path string, opts *Options) (*Access, error) {
	o := opts.orDefault()
	path, err := snapshot.Absolute(path)
	if err != nil {
		return nil, fmt.Errorf("probe registry: %w", invalidError{err})
	}
	route, err := o.FS.Resolve(path)
	if err != nil {
		return nil, fmt.Errorf("probe registry: %w", invalidError{err})
	}
	lockDir, err := lockDirOf(route.Target, &o)
	if err != nil {
		return nil, fmt.Errorf("probe registry: %w", invalidError{err})
	}
	p := prober{place: place{route.Target, lockDir}, opts: o}
	a := &Access{Target: route.Target}
	on, _ := vfs.FileSystemOf(p.dir()) // one that cannot be told has no name
	a.FileSystem = on.Name
	if n := len(route.Links); n > 0 {
		p.found = append(p.found, &Obstacle{
			Check: "path", Level: LevelNote,
			Reason: fmt.Sprintf("%q leads over a link, %q, to %q: that file is written, its directory has the lock, and the link stays", path, route.Links[n-1], route.Target),
		})
	}
	p.found = append(p.found, p.survey(&o)...)
	if !o.ReadOnly && refusal(p.found) == nil {
		p.room(on)
		err = p.try(ctx)
	}
	a.Findings = p.found
	return a, err
}

// prober collects what it finds at a place.
type prober struct {
	place
	opts  Options
	found []*Obstacle
}

// refuse adds the failure of a step that a write takes as well.
func (p *prober) refuse(check string, err error) {
	if err == nil {
		return
	}
	o := p.obstacle(err)
	if o == nil {
		o = &Obstacle{Check: check, Level: LevelRefused, Reason: err.Error(), Err: err}
	}
	if errors.Is(err, filelock.ErrUnsafe) {
		o.Remedy = "check who may write to that directory, and that it is not a link: no other user may be able to replace the lock"
	}
	p.found = append(p.found, o)
}

// room compares the free space with what the next version takes, about.
func (p *prober) room(on vfs.FileSystem) {
	info, err := vfs.OS.Lstat(p.target)
	if err == nil && on.Free >= 0 && on.Free < info.Size {
		p.found = append(p.found, &Obstacle{
			Check: "space", Level: LevelWarning,
			Reason: fmt.Sprintf("%d bytes are free, and a new version of the registry takes about %d", on.Free, info.Size),
			Remedy: "free some space on that file system",
		})
	}
}

// try does what a write does, up to the rename of its new version.
func (p *prober) try(ctx context.Context) error {
	for _, dir := range []string{p.dir(), p.lockDir} {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("probe registry: %w", context.Cause(ctx))
		}
		if err := tryMkdir(dir); err != nil {
			p.refuse("directory", err)
			return nil
		}
	}
	if _, err := vfs.OS.Stat(p.dir()); err != nil {
		return nil // the first write makes it
	}
	release := p.tryLock()
	defer release()
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("probe registry: %w", context.Cause(ctx))
	}
	p.refuse("page", page.New(pageIn(p.lockDir, p.target), 0).TryWrite())
	file := snapshot.NewFile[struct{}](p.target, p.target, nil, snapshot.FileOptions{TempDir: p.lockDir, FS: p.opts.FS})
	p.refuse("directory", file.TryWrite())
	return nil
}

// tryMkdir makes and removes a directory where the first write makes dir, if that
// is missing.
func tryMkdir(dir string) error {
	above := dir
	for {
		_, err := os.Stat(above)
		if err == nil && above == dir {
			return nil
		}
		parent := filepath.Dir(above)
		if err == nil || !errors.Is(err, fs.ErrNotExist) || parent == above {
			break
		}
		above = parent
	}
	name := filepath.Join(above, ".machreg-"+strconv.FormatUint(rand.Uint64(), 36))
	if err := os.Mkdir(name, 0o700); err != nil {
		return fmt.Errorf("make a directory: %w", err)
	}
	return os.Remove(name)
}

// tryLock takes the lock if that needs no directory to be made, and returns how
// to let go of it. While another process has it the rest is tried without: no
// name that another process uses is touched.
func (p *prober) tryLock() (release func()) {
	release = func() {}
	if _, err := os.Lstat(p.lockDir); err != nil {
		return release
	}
	path := lockIn(p.lockDir, p.target)
	_, err := os.Lstat(path)
	missing := errors.Is(err, fs.ErrNotExist)
	held, err := filelock.New(path, &filelock.Options{Program: p.opts.Program, Like: p.dir()}).TryLock()
	switch {
	case errors.Is(err, filelock.ErrTimeout):
		p.found = append(p.found, &Obstacle{Check: "lock", Level: LevelNote, Reason: err.Error(), Err: err})
	case err != nil:
		p.refuse("lock", err)
	case missing:
		release = func() { p.refuse("lock", held.UnlockAndRemove()) }
	default:
		release = func() { p.refuse("lock", held.Unlock()) }
	}
	return release
}
