package registry

import (
	"log/slog"
	"time"

	"github.com/machreg/machreg/filelock"
	"github.com/machreg/machreg/internal/vfs"
)

// Options adjusts a registry. The zero value, like nil, is the default.
type Options struct {
	// LockTimeout bounds how long a write waits for the lock: 0 is 30 s (not,
	// as on the command line, no wait), a negative duration such as
	// filelock.NoWait does not wait, except, for up to a second, for a commit of
	// this handle that is under way. A write that is being committed is waited
	// for as long again, and at least 30 s; its error then matches ErrInDoubt.
	LockTimeout time.Duration
	// LockDir is where the lock and the revision page are, as LockDir/FILE.lock
	// and LockDir/FILE.page, and where new versions of the file are written;
	// empty is ".gastown/locks" beside the file. A relative one is resolved when
	// the registry is opened. All processes that share a file must use the same
	// directory, or they do not exclude each other.
	LockDir string
	// Sync is what a write waits for.
	Sync SyncPolicy
	// Refresh is how other processes' writes reach plain reads.
	Refresh RefreshPolicy
	// PollInterval is how often the file is looked at besides what Refresh
	// says; 0 is one second.
	PollInterval time.Duration
	// Page says whether Latest may use the revision page.
	Page PagePolicy
	// GroupLimit is how many writes may share one file update; 0 is any
	// number, 1 gives each write its own.
	GroupLimit int
	// ReadOnly refuses writes, creates nothing, and works in a directory that
	// cannot be written.
	ReadOnly bool
	// MaxSize is the largest file to read or write, in bytes; 0 is 256 MiB.
	MaxSize int64
	// SplitHardLinks lets a write detach the path from the file's other names;
	// by default a file with several hard links is not written.
	SplitHardLinks bool
	// ReplaceProtected lets a write replace a file whose permission bits let no
	// user write it (chmod a-w); by default that is [ErrProtected].
	ReplaceProtected bool
	// Program is what this process is called in the errors of those that wait
	// for it; empty is the base name of os.Args[0].
	Program string
	// Logger receives what no call returns as an error; nil is silent. It is
	// called on a goroutine of its own, and may block or panic: records that it
	// cannot take in time are dropped, and counted.
	Logger *slog.Logger
	// FS replaces the file system in this module's fault tests; leave it nil.
	FS vfs.FS
}

// SyncPolicy is what a write waits for before it is acknowledged.
type SyncPolicy int

const (
	// SyncFull waits until the write survives a loss of power.
	SyncFull SyncPolicy = iota
	// SyncNone waits until it survives the death of every process. A loss of power
	// may undo it, but no write that another handle was acknowledged with SyncFull:
	// bytes are synced before they replace others, and only the wait for the
	// directory is left out.
	SyncNone
)

// RefreshPolicy is how other processes' writes reach Get, List and Snapshot.
type RefreshPolicy int

const (
	// RefreshWatch refreshes when the operating system reports a change to
	// the directory, and every PollInterval in any case. A stream of changes
	// is followed at a pace: for a twentieth of the time, but with pauses of
	// a tenth of a second at most. While a write of this handle is under way
	// its commit does the following, for a tenth of a second at most.
	RefreshWatch RefreshPolicy = iota
	// RefreshPoll looks every PollInterval.
	RefreshPoll
	// RefreshNever leaves it to Latest, Refresh and this handle's own writes.
	RefreshNever
)

// PagePolicy says whether the revision page is used.
type PagePolicy int

const (
	// PageAuto uses it where the platform and the file system allow it.
	PageAuto PagePolicy = iota
	// PageOff makes Latest compare stamps. The page is kept up to date all the
	// same, for others and for the record of revisions that is in it.
	PageOff
)

const defaultPollInterval = time.Second

// orDefault returns a copy with every default filled in.
func (o *Options) orDefault() Options {
	var out Options
	if o != nil {
		out = *o
	}
	if out.LockTimeout == 0 {
		out.LockTimeout = filelock.DefaultTimeout
	}
	if out.PollInterval <= 0 {
		out.PollInterval = defaultPollInterval
	}
	if out.Logger == nil {
		out.Logger = slog.New(slog.DiscardHandler)
	}
	if out.FS == nil {
		out.FS = vfs.OS
	}
	return out
}
