package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/machreg/machreg/filelock"
	"github.com/machreg/machreg/registry"
	"github.com/machreg/machreg/snapshot"
)

// machines is one revision of the registry.
type machines = snapshot.Snapshot[registry.Machine]

// read loads the present revision and leaves no trace: it takes no lock, makes
// no file and no mapping, and starts no watcher. It warns of entries that
// cannot be used.
func (a *app) read() (*machines, error) {
	path, err := a.path()
	if err != nil {
		return nil, err
	}
	snap, err := readOnly(path)
	if err != nil {
		return nil, err
	}
	a.warnMissing(path)
	a.warnQuarantine(path, snap)
	return snap, nil
}

func readOnly(path string) (*machines, error) {
	r, err := registry.OpenMachines(path, &registry.Options{
		ReadOnly: true,
		Refresh:  registry.RefreshNever,
		Page:     registry.PageOff,
	})
	if err != nil {
		return nil, err
	}
	defer r.Close() // a read-only handle has nothing to lose
	return r.Snapshot(), nil
}

// readAtLeast is read as of a revision that may not be there yet.
func (a *app) readAtLeast(ctx context.Context, rev registry.Revision, timeout time.Duration) (*machines, error) {
	path, err := a.path()
	if err != nil {
		return nil, err
	}
	r, err := registry.OpenMachines(path, &registry.Options{ReadOnly: true})
	if err != nil {
		return nil, err
	}
	defer r.Close()
	a.warnMissing(path)
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	snap, err := r.AtLeast(ctx, rev)
	if err != nil {
		return nil, err
	}
	a.warnQuarantine(path, snap)
	return snap, nil
}

// write opens the registry for one write, calls work, and closes it. If the
// lock is taken for longer than a moment, it says by whom. A registry that work
// has started is named: the path may be mistyped.
func (a *app) write(work func(r *registry.MachineRegistry) error) error {
	path, err := a.path()
	if err != nil {
		return err
	}
	r, err := registry.OpenMachines(path, &registry.Options{
		LockTimeout: a.timeout(),
		Refresh:     registry.RefreshNever,
		Program:     a.command.CommandPath(),
	})
	if err != nil {
		return err
	}
	missing, before := isMissing(path), r.Stats()
	stop := a.tellWait(path)
	err = work(r)
	stop()
	// Had another process been first, its file would have been loaded.
	if after := r.Stats(); missing && after.Commits > 0 && after.Loads == before.Loads {
		a.note("started a new registry at %s", path)
	}
	if cerr := r.Close(); cerr != nil {
		a.warn("close: %v", cerr) // what was written is written
	}
	return err
}

// warnMissing warns of a registry that was never written.
func (a *app) warnMissing(path string) {
	if isMissing(path) {
		a.warn("no registry file at %s: an empty registry is shown", path)
	}
}

func isMissing(path string) bool {
	_, err := os.Stat(path)
	return errors.Is(err, fs.ErrNotExist)
}

// patience is how long a wait for the lock is nobody's business.
const patience = time.Second

// tellWait tells somebody at a terminal, after a moment, whom the program waits
// for. The function it returns ends that.
func (a *app) tellWait(path string) (stop func()) {
	if !a.err.TTY() {
		return func() {}
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		select {
		case <-ctx.Done():
			return
		case <-time.After(patience):
		}
		lock, err := registry.LockPath(path, nil)
		if err != nil {
			return
		}
		status, err := filelock.New(lock, nil).Status()
		if err == nil && (status.Hold == filelock.HeldExclusively || status.Hold == filelock.HeldShared) {
			a.warn("waiting for the lock: %s", status.String())
		}
	}()
	return func() { cancel(); <-done }
}

// warnQuarantine names the entries that are in the file but not used.
func (a *app) warnQuarantine(path string, snap *machines) {
	const most = 5
	bad := snap.Quarantine()
	if len(bad) == 0 {
		return
	}
	var list []string
	for i, q := range bad {
		if i == most {
			list = append(list, fmt.Sprintf("and %d more", len(bad)-most))
			break
		}
		list = append(list, fmt.Sprintf("%q (%s)", q.Name, q.Reason))
	}
	a.warn("%s of %q cannot be used: %s; \"machreg verify\" lists them", count(len(bad), "entry", "entries"), path, strings.Join(list, ", "))
}

// quarantined reports why the file's entry of that name cannot be used, if it
// is so.
func quarantined(snap *machines, name string) (reason string, ok bool) {
	for _, q := range snap.Quarantine() {
		if q.Name == name {
			return q.Reason, true
		}
	}
	return "", false
}

// count is a number with its noun.
func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
