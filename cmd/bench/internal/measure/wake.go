package measure

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/machreg/machreg/cmd/bench/internal/child"
	"github.com/machreg/machreg/cmd/bench/internal/fleet"
	"github.com/machreg/machreg/cmd/bench/internal/lap"
	"github.com/machreg/machreg/cmd/bench/internal/peer"
	"github.com/machreg/machreg/cmd/bench/internal/report"
	"github.com/machreg/machreg/registry"
)

// roleWatch reports when it was told of each change.
const roleWatch = "watch"

type watchSpec struct {
	Store, Dir string
}

// told is when a watcher knew, in nanoseconds since 1970, and of what.
type told struct {
	At       int64
	Revision uint64 // of machreg's
}

func watch(parent *child.Conn) error {
	var spec watchSpec
	if err := parent.Receive(&spec); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		// The parent says nothing more: its end is the end.
		var nothing string
		if parent.Receive(&nothing) != nil {
			cancel()
		}
	}()
	if spec.Store == peer.Floor {
		return watchDirectory(ctx, parent, spec.Dir)
	}
	r, err := peer.OpenMachreg(spec.Dir, &registry.Options{MaxSize: peer.MaxFile})
	if err != nil {
		return err
	}
	changes := r.Watch(ctx)
	if err := parent.Send(told{Revision: uint64(r.Revision())}); err != nil {
		return err
	}
	for change, err := range changes {
		if err != nil {
			break // the parent's end
		}
		if err := parent.Send(told{time.Now().UnixNano(), uint64(change.To)}); err != nil {
			return err
		}
	}
	return r.Close()
}

// watchDirectory is the floor: the operating system's events of a rename, and
// nothing done about them.
func watchDirectory(ctx context.Context, parent *child.Conn, dir string) error {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return err
	}
	defer w.Close()
	if err := w.Add(dir); err != nil {
		return err
	}
	if err := parent.Send(told{}); err != nil {
		return err
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case e := <-w.Events:
			if e.Has(fsnotify.Create) && filepath.Base(e.Name) == filepath.Base(peer.MachregPath(dir)) {
				if err := parent.Send(told{At: time.Now().UnixNano()}); err != nil {
					return err
				}
			}
		case err := <-w.Errors:
			return err
		}
	}
}

// Wakeups measures the time from the rename of a commit in one process until
// another process knows: the floor, that something was renamed; machreg, what
// has changed, from Watch. At that time the commit is visible and not yet
// durable.
func (b *Bench) Wakeups() error {
	for _, n := range b.Sizes {
		if n > groupLargest {
			continue
		}
		if err := b.wakeup(n); err != nil {
			return err
		}
	}
	return nil
}

func (b *Bench) wakeup(n int) (err error) {
	k, err := peer.Find(peer.Machreg)
	if err != nil {
		return err
	}
	var contenders []lap.Contender
	var closers []func() error
	defer func() { err = errors.Join(err, closeAll(closers)) }()
	for _, name := range []string{peer.Machreg, peer.Floor} {
		dir, err := b.dir(k, n)
		if err != nil {
			return err
		}
		trace := peer.NewTrace()
		w, err := peer.OpenMachreg(dir, &registry.Options{MaxSize: peer.MaxFile, FS: trace})
		if err != nil {
			return err
		}
		closers = append(closers, w.Close)
		p, err := child.Start(roleWatch, watchSpec{name, dir})
		if err != nil {
			return err
		}
		closers = append(closers, p.Close, func() error { return os.RemoveAll(dir) })
		var ready told
		if err := p.Receive(&ready); err != nil {
			return err
		}
		generation := 0
		contenders = append(contenders, lap.Contender{Name: name, Lap: func() (float64, error) {
			return median(addsInLap(n), func() (time.Duration, error) {
				generation++
				rev, err := w.MachineRegistry.Add(context.Background(), fleet.Named(fleet.Name(generation%n), generation))
				if err != nil {
					return 0, err
				}
				var t told
				for {
					if err := p.Receive(&t); err != nil {
						return 0, fmt.Errorf("watcher: %w", err)
					}
					if name == peer.Floor || t.Revision >= uint64(rev) {
						break
					}
				}
				commits := trace.Commits()
				return time.Duration(t.At - commits[len(commits)-1].Renaming), nil
			})
		}})
	}
	_, err = b.race(report.Shape{Measure: "wake", Size: n, Processes: 2}, contenders)
	return err
}
