package peer

import (
	"io/fs"
	"sync"
	"time"

	"github.com/machreg/machreg/internal/vfs"
)

// Trace is a file system that remembers when each commit created its temporary
// file and when it renamed it, which lie in the time for which it held the
// lock, and when it had synced the directory, which comes after: in wall-clock
// time, which is comparable between the processes of one machine.
type Trace struct {
	vfs.FS

	mu      sync.Mutex
	commits []Commit // guarded by mu
}

// Commit is one file update, in nanoseconds since 1970.
type Commit struct {
	Created  int64 // before the temporary file was
	Renaming int64 // before the rename
	Renamed  int64 // after it
	Synced   int64 // after the sync of the directory
}

// NewTrace returns a trace of the real file system.
func NewTrace() *Trace { return &Trace{FS: vfs.OS} }

// Commits returns what has been committed so far.
func (t *Trace) Commits() []Commit {
	t.mu.Lock()
	defer t.mu.Unlock()
	var done []Commit
	for _, c := range t.commits {
		if c.Synced != 0 {
			done = append(done, c)
		}
	}
	return done
}

func (t *Trace) note(set func(last *Commit, now int64)) {
	now := time.Now().UnixNano()
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.commits) > 0 {
		set(&t.commits[len(t.commits)-1], now)
	}
}

// Create implements [vfs.FS].
func (t *Trace) Create(name string, perm fs.FileMode) (vfs.File, error) {
	t.mu.Lock()
	t.commits = append(t.commits, Commit{Created: time.Now().UnixNano()})
	t.mu.Unlock()
	return t.FS.Create(name, perm)
}

// Rename implements [vfs.FS].
func (t *Trace) Rename(oldname, newname string) error {
	t.note(func(last *Commit, now int64) { last.Renaming = now })
	err := t.FS.Rename(oldname, newname)
	t.note(func(last *Commit, now int64) { last.Renamed = now })
	return err
}

// OpenDir implements [vfs.FS].
func (t *Trace) OpenDir(name string) (vfs.Dir, error) {
	d, err := t.FS.OpenDir(name)
	if err != nil {
		return nil, err
	}
	return vfs.WithSync(d, func() error {
		err := d.Sync()
		t.note(func(last *Commit, now int64) { last.Synced = now })
		return err
	}), nil
}
