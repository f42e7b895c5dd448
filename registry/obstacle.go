package registry

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"github.com/machreg/machreg/internal/vfs"
	"github.com/machreg/machreg/snapshot"
)

// ErrStaleMount is a registry file, or its directory, that is mounted by itself
// and was replaced outside of the mount: what is read there changes no more.
var ErrStaleMount = errors.New("replaced outside of the mount")

// Level is how much an [Obstacle] stands in the way.
type Level string

const (
	LevelNote    Level = "note"    // worth knowing
	LevelWarning Level = "warning" // writes work, and something else is not as it should be
	LevelRefused Level = "refused" // writes are refused
)

// Obstacle is something about the place of a registry that stands in the way of
// writing it, or of sharing it safely, and what to do about it. Errors of writes
// that a remedy is known for match it with [errors.AsType].
type Obstacle struct {
	// Check names the kind: "path", "file", "mount", "links", "marks", "directory",
	// "lock", "page", "space", "permission", "busy", "read-only" or "file system".
	Check  string
	Level  Level
	Reason string
	Remedy string // empty if none is known
	// Err is the cause, for [errors.Is]; nil if nothing was tried.
	Err error
}

func (o *Obstacle) Error() string {
	if o.Remedy == "" {
		return o.Reason
	}
	return o.Reason + "; " + o.Remedy
}

// Unwrap returns the cause.
func (o *Obstacle) Unwrap() error { return o.Err }

// place is where a registry is written: its file, free of links, and the
// directory of its lock, where new versions are written as well.
type place struct{ target, lockDir string }

func (p place) dir() string { return filepath.Dir(p.target) }

// survey lists what can be told of a place without trying to write. Of a handle
// that only reads it tells what matters to readers.
func (p place) survey(o *Options) (found []*Obstacle) {
	add := func(list ...*Obstacle) {
		for _, each := range list {
			if each != nil {
				found = append(found, each)
			}
		}
	}
	add(p.stale())
	if o.ReadOnly || found != nil {
		return found
	}
	if flags, err := vfs.FlagsOf(p.target); err == nil && flags.MountPoint {
		add(p.mountPoint(nil))
	}
	if info, err := vfs.OS.Lstat(p.target); err == nil {
		switch {
		case info.Mode.IsDir():
			add(p.isDirectory(nil))
		case !info.Mode.IsRegular():
			add(&Obstacle{Check: "file", Level: LevelRefused, Reason: fmt.Sprintf("%q is not a regular file (%v)", p.target, info.Mode)})
		case info.Links > 1 && !o.SplitHardLinks:
			add(&Obstacle{
				Check: "links", Level: LevelRefused, Err: snapshot.ErrHardLinks,
				Reason: fmt.Sprintf("%q has %d names, which a write would tear apart", p.target, info.Links),
				Remedy: "make the registry a file of its own: copy it to a new name and move that over it",
			})
		case info.Mode&0o222 == 0 && !o.ReplaceProtected:
			add(&Obstacle{
				Check: "permission", Level: LevelRefused, Err: snapshot.ErrProtected,
				Reason: fmt.Sprintf("%q is write-protected (mode %v)", p.target, info.Mode),
				Remedy: "make it writable, if it may be changed: chmod u+w " + quoted(p.target),
			})
		}
	}
	add(p.marked(nil), p.sticky(nil))
	on, err := vfs.FileSystemOf(p.dir())
	locks, lerr := vfs.FileSystemOf(p.lockDir)
	switch {
	case err == nil && on.ReadOnly:
		add(readOnly(p.dir(), nil))
	case lerr == nil && locks.ReadOnly:
		add(readOnly(p.lockDir, nil))
	}
	add(p.lockReach(on, locks))
	return found
}

// refusal is the first that refuses writes.
func refusal(found []*Obstacle) *Obstacle {
	for _, o := range found {
		if o.Level == LevelRefused {
			return o
		}
	}
	return nil
}

// stale recognises a mount that was left behind: the file or the directory is
// there, and has no name any more.
func (p place) stale() *Obstacle {
	info, err := vfs.OS.Lstat(p.target)
	if err == nil && info.Links == 0 {
		// Or it was replaced while it was looked at.
		if flags, err := vfs.FlagsOf(p.target); err == nil && flags.MountPoint {
			return &Obstacle{
				Check: "mount", Level: LevelRefused, Err: ErrStaleMount,
				Reason: fmt.Sprintf("%q is mounted by itself, and was replaced outside of the mount: what is read here is the file from before, for ever", p.target),
				Remedy: "mount its directory instead, or mount the file again (restart the container)",
			}
		}
	}
	if info, err := vfs.OS.Lstat(p.dir()); err == nil && info.Mode.IsDir() && info.Links == 0 {
		return &Obstacle{
			Check: "mount", Level: LevelRefused, Err: ErrStaleMount,
			Reason: fmt.Sprintf("%q was removed outside of the mount that it is in", p.dir()),
			Remedy: "mount it again (restart the container)",
		}
	}
	return nil
}

func (p place) mountPoint(cause error) *Obstacle {
	return &Obstacle{
		Check: "mount", Level: LevelRefused, Err: cause,
		Reason: fmt.Sprintf("%q is a mount point by itself, so that no new version can take its place", p.target),
		Remedy: fmt.Sprintf("mount its directory, %q, instead of the file", p.dir()),
	}
}

func (p place) isDirectory(cause error) *Obstacle {
	return &Obstacle{
		Check: "file", Level: LevelRefused, Err: cause,
		Reason: fmt.Sprintf("%q is a directory", p.target),
		Remedy: "container engines make one where the file to be mounted does not exist: remove it, and mount the directory that the file is to be in",
	}
}

// marked finds a mark that keeps even root from replacing the file.
func (p place) marked(cause error) *Obstacle {
	unmark := "chflags noschg,nouchg,nosappnd,nouappnd"
	if runtime.GOOS == "linux" {
		unmark = "chattr -i -a"
	}
	for _, name := range []string{p.target, p.dir(), p.lockDir} {
		flags, err := vfs.FlagsOf(name)
		mark := "immutable"
		if flags.AppendOnly {
			mark = "append-only"
		}
		if err == nil && (flags.Immutable || flags.AppendOnly) {
			return &Obstacle{
				Check: "marks", Level: LevelRefused, Err: cause,
				Reason: fmt.Sprintf("%q is marked as %s", name, mark),
				Remedy: "if it is to be written, take the mark away: " + unmark + " " + quoted(name),
			}
		}
	}
	return nil
}

func quoted(name string) string {
	if strings.ContainsAny(name, " \t\n'\"\\$`!*?[](){}<>|&;~#") {
		return fmt.Sprintf("%q", name)
	}
	return name
}

// sticky finds a directory, such as /tmp, where only its owner and the file's
// replace the file.
func (p place) sticky(cause error) *Obstacle {
	dir, err := os.Stat(p.dir())
	if err != nil || dir.Mode()&fs.ModeSticky == 0 || os.Geteuid() == 0 {
		return nil
	}
	above, err := vfs.OS.Stat(p.dir())
	file, ferr := vfs.OS.Lstat(p.target)
	if err != nil || ferr != nil || above.UID == os.Geteuid() || file.UID == os.Geteuid() {
		return nil
	}
	return &Obstacle{
		Check: "permission", Level: LevelRefused, Err: cause,
		Reason: fmt.Sprintf("%q belongs to user %d, and in a sticky directory (%v) no other user replaces it", p.target, file.UID, dir.Mode()),
		Remedy: "give the registry a directory of its own",
	}
}

func readOnly(where string, cause error) *Obstacle {
	return &Obstacle{
		Check: "read-only", Level: LevelRefused, Err: cause,
		Reason: fmt.Sprintf("%q is on a file system that is mounted read-only%s", where, because(cause)),
		Remedy: "mount it for writing, or only read here",
	}
}

// lockReach warns of locks that some processes may not see. on is where the file
// is, and locks where its lock is.
func (p place) lockReach(on, locks vfs.FileSystem) *Obstacle {
	o := &Obstacle{Check: "file system", Level: LevelWarning, Remedy: "let the processes of one machine do the writing"}
	switch {
	case locks.Kind == vfs.FUSE:
		o.Reason = fmt.Sprintf("%q is on a FUSE file system: processes that reach the registry in another way, below the mount or through another one, do not see the locks taken here, and writes of both get lost", p.lockDir)
		o.Remedy = "let every process that writes use this same mount"
	case locks.Kind == vfs.Network:
		o.Reason = fmt.Sprintf("%q is on a network file system (%s): whether other machines, and the server, see the locks taken here depends on it, and where they do not, writes get lost", p.lockDir, locks.Name)
	case on.Kind == vfs.Network:
		o.Reason = fmt.Sprintf("%q is on a network file system (%s) and its lock, in %q, is not: other machines do not see the locks taken here, and writes get lost", p.target, on.Name, p.lockDir)
	default:
		return nil
	}
	return o
}

// obstacle finds what is known about the failure of a write, or nil. It may look
// at the place, to tell causes apart that the system gives one number.
func (p place) obstacle(err error) *Obstacle {
	if err == nil || errors.Is(err, ErrNotDurable) || errors.Is(err, ErrInDoubt) {
		return nil
	}
	if o, ok := errors.AsType[*Obstacle](err); ok {
		return o
	}
	is := troubleOf(err)
	if is == isBusy || errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrMissing) {
		if o := p.stale(); o != nil {
			o.Err = fmt.Errorf("%w: %w", o.Err, err)
			return o
		}
	}
	where := pathOf(err)
	if where == "" {
		where = p.target
	}
	switch is {
	case isBusy:
		if flags, ferr := vfs.FlagsOf(p.target); ferr == nil && flags.MountPoint {
			return p.mountPoint(err)
		}
		return &Obstacle{
			Check: "busy", Level: LevelRefused, Err: err,
			Reason: fmt.Sprintf("the system itself uses %q, as a mount point, say%s", where, because(err)),
			Remedy: "mount the directory of the registry, not the file",
		}
	case isOpenElsewhere:
		return &Obstacle{
			Check: "busy", Level: LevelRefused, Err: err,
			Reason: fmt.Sprintf("another program has %q open and lets no other one change it%s", where, because(err)),
			Remedy: "close it there: in an editor, say, or a backup or virus scanner that reads it",
		}
	case isReadOnly:
		return readOnly(where, err)
	case isFull:
		return &Obstacle{
			Check: "space", Level: LevelRefused, Err: err,
			Reason: fmt.Sprintf("there is no space left for %q%s", where, because(err)),
			Remedy: "free some on that file system; every write needs room for one more version of the registry",
		}
	case isOverQuota:
		return &Obstacle{
			Check: "space", Level: LevelRefused, Err: err,
			Reason: fmt.Sprintf("the quota of %s leaves no space for %q%s", user(), where, because(err)),
			Remedy: "remove something of that owner, or have the quota raised; every write needs room for one more version of the registry",
		}
	case isDirectory:
		return p.isDirectory(err)
	case isForbidden:
		if o := p.marked(err); o != nil {
			return o
		}
		if o := p.sticky(err); o != nil {
			return o
		}
		return &Obstacle{
			Check: "permission", Level: LevelRefused, Err: err,
			Reason: err.Error(),
			Remedy: fmt.Sprintf("check with \"ls -ld\" what %s may do with the file, with its directory and with %q", user(), p.lockDir),
		}
	}
	return nil
}

// because is what the system itself calls a cause, for those who search for that.
func because(err error) string {
	if number, ok := errors.AsType[syscall.Errno](err); ok {
		return fmt.Sprintf(" (%v)", number)
	}
	return ""
}

// user is who this process is.
func user() string {
	if uid := os.Geteuid(); uid >= 0 {
		return fmt.Sprintf("this user (uid %d)", uid)
	}
	return "this user"
}

// pathOf is what the failing call was about.
func pathOf(err error) string {
	if link, ok := errors.AsType[*os.LinkError](err); ok {
		return link.New
	}
	if path, ok := errors.AsType[*fs.PathError](err); ok {
		return path.Path
	}
	return ""
}

// trouble is a cause that a remedy is known for, by whatever number the system
// calls it.
type trouble int

const (
	isUnknown trouble = iota
	isBusy
	isOpenElsewhere
	isReadOnly
	isFull
	isOverQuota
	isDirectory
	isForbidden
)

func troubleOf(err error) trouble {
	for _, t := range troubles {
		if errors.Is(err, t.cause) {
			return t.is
		}
	}
	if errors.Is(err, fs.ErrPermission) {
		return isForbidden
	}
	return isUnknown
}
