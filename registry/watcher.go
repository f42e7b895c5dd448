package registry

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/machreg/machreg/internal/vfs"
)

// watcher turns file-system events for the names that a path leads over into a
// signal: the file's own, and those of the links on the way. It watches their
// directories: a watch on the file would follow the old version when a new one
// is renamed over it.
//
// It may be without a working watch of some or all of them at any time (no
// inotify instance left, a directory deleted); check then tries again. A nil
// watcher never signals.
type watcher struct {
	log     *slog.Logger
	changes chan struct{} // of one place: a signal stands for any number of events

	mu sync.Mutex
	// names are base names, of which events count: one directory that two
	// elements of the path lead to is watched once, and has one path in events.
	names   map[string]bool
	dirs    map[string]identity // their directories; as they were when the watch began
	lost    bool                // one of dirs is no longer watched
	mode    Mode
	events  *events // nil without a working watch
	closed  bool
	readers sync.WaitGroup
	ending  sync.WaitGroup // of the watch before this one
}

// identity is which directory is watched; the zero value is none.
type identity struct{ device, inode uint64 }

// events is a watch of some directories. It is replaced as a whole: what
// fsnotify does where a directory is moved and removed while another is added
// can block.
type events struct {
	*fsnotify.Watcher
	stop chan struct{} // closed before the watcher is
}

// newEvents is replaced by the tests that take watches away.
var newEvents = fsnotify.NewWatcher

func watch(route vfs.Route, log *slog.Logger) *watcher {
	w := &watcher{log: log, changes: make(chan struct{}, 1)}
	w.follow(route)
	return w
}

// follow makes the watch one of a route, if it is not. A directory that is not
// there may be one that a link has just been turned away from: it is reported
// only if check finds it missing.
func (w *watcher) follow(route vfs.Route) {
	if w == nil {
		return
	}
	names, dirs := make(map[string]bool), make(map[string]identity)
	for _, path := range append(route.Links, route.Target) {
		names[filepath.Base(path)] = true
		dirs[filepath.Dir(path)] = identity{}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.lost && maps.Equal(names, w.names) && slices.Equal(sorted(dirs), sorted(w.dirs)) {
		return
	}
	w.names, w.dirs, w.lost = names, dirs, true
	missing, err := w.renewLocked()
	if err != nil || w.mode.Name == "" {
		w.setModeLocked(errors.Join(missing, err))
	}
}

func sorted(dirs map[string]identity) []string { return slices.Sorted(maps.Keys(dirs)) }

// Changes delivers a value after one or more events.
func (w *watcher) Changes() <-chan struct{} {
	if w == nil {
		return nil
	}
	return w.changes
}

// Mode is whether events arrive.
func (w *watcher) Mode() Mode {
	if w == nil {
		return Mode{Name: ModePoll}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.mode
}

// check starts the watch, or starts it again if it is not, or no longer, one
// of the directories that are now at their paths.
func (w *watcher) check() {
	if w == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	missing, err := w.renewLocked()
	w.setModeLocked(errors.Join(missing, err))
}

// renewLocked starts the watch again if something is wrong with the one there
// is. It returns which directories are missing, and what else is wrong.
func (w *watcher) renewLocked() (missing, err error) {
	if w.closed {
		return nil, nil
	}
	found := make(map[string]identity, len(w.dirs))
	for dir := range w.dirs {
		info, err := vfs.OS.Stat(dir)
		found[dir] = identity{info.Device, info.Inode}
		if err != nil {
			found[dir] = identity{}
			missing = errors.Join(missing, fmt.Errorf("watch %q: %w", dir, err))
		}
	}
	if w.events != nil && !w.lost && maps.Equal(found, w.dirs) {
		return missing, nil
	}
	old := w.events
	w.events = nil
	next, err := newEvents()
	if err != nil && old != nil {
		// It may be the last one that this user can have.
		w.ending.Wait()
		old.close()
		old = nil
		next, err = newEvents()
	}
	if err != nil {
		return missing, fmt.Errorf("watch: %w", err)
	}
	for dir, id := range found {
		if id == (identity{}) {
			continue
		}
		if aerr := next.Add(dir); aerr != nil {
			found[dir] = identity{}
			err = errors.Join(err, fmt.Errorf("watch %q: %w", dir, aerr))
		}
	}
	w.dirs, w.lost, w.events = found, false, &events{next, make(chan struct{})}
	e := w.events
	w.readers.Go(func() { w.read(e) })
	w.signal() // whatever happened before the watch
	if old != nil {
		// The kernel takes its time to end a watch.
		w.ending.Wait()
		w.ending.Go(old.close)
	}
	return missing, err
}

func (e *events) close() {
	close(e.stop)
	e.Watcher.Close()
}

func (w *watcher) setModeLocked(err error) {
	name := ModeWatch
	if err != nil {
		name = ModePoll
	}
	if w.closed {
		return
	}
	if w.mode.Name == name {
		w.mode.Err = err
		return
	}
	since := time.Now()
	if w.mode.Name == "" { // at open
		since = time.Time{}
	}
	w.mode = Mode{Name: name, Since: since, Err: err}
	if err != nil {
		w.log.Warn("changes are found by polling", "error", err)
	}
}

// read runs until e is closed. While a signal is not taken it reads no
// further: a process that follows a stream of changes at its own pace is then
// not kept busy by the events in between, which the kernel holds for it.
func (w *watcher) read(e *events) {
	for {
		select {
		case event, ok := <-e.Events:
			if !ok {
				return
			}
			if !w.concerns(e, event) {
				continue
			}
			select {
			case w.changes <- struct{}{}:
			case <-e.stop:
				return
			}
		case err, ok := <-e.Errors:
			if !ok {
				return
			}
			// An overflow means that events were dropped: look.
			w.log.Warn("file-system events lost", "error", err)
			w.signal()
		}
	}
}

// concerns reports whether there is something to look at after an event.
func (w *watcher) concerns(e *events, event fsnotify.Event) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.events != e {
		return false // the watch that took its place has signalled
	}
	name := filepath.Clean(event.Name)
	if _, ok := w.dirs[name]; ok && (event.Has(fsnotify.Remove) || event.Has(fsnotify.Rename)) {
		w.lost = true // the directory itself went: its watch is of no use now
		return true
	}
	return w.names[filepath.Base(name)]
}

func (w *watcher) signal() {
	select {
	case w.changes <- struct{}{}:
	default: // one is waiting already
	}
}

// Close ends the watch and waits until its goroutine is gone.
func (w *watcher) Close() {
	if w == nil {
		return
	}
	w.mu.Lock()
	w.closed = true
	e := w.events
	w.events = nil
	w.mu.Unlock()
	if e != nil {
		e.close()
	}
	w.ending.Wait()
	w.readers.Wait()
}
