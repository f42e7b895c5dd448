package registry

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"path/filepath"
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
// It may be without a working watch at any time (no inotify instance left, a
// directory deleted); check then tries again. A nil watcher never signals.
type watcher struct {
	log     *slog.Logger
	changes chan struct{} // of one place: a signal stands for any number of events
	done    chan struct{} // closed by Close

	mu      sync.Mutex
	names   map[string]bool     // cleaned paths whose events count
	dirs    map[string]vfs.Info // their directories; as they were when the watch began
	events  *fsnotify.Watcher   // nil without a working watch
	mode    Mode
	closed  bool
	readers sync.WaitGroup
}

// newEvents is replaced by the tests that take watches away.
var newEvents = fsnotify.NewWatcher

func watch(route vfs.Route, log *slog.Logger) *watcher {
	w := &watcher{log: log, changes: make(chan struct{}, 1), done: make(chan struct{})}
	w.follow(route)
	return w
}

// follow makes the watch one of a route, if it is not.
func (w *watcher) follow(route vfs.Route) {
	if w == nil {
		return
	}
	names := make(map[string]bool)
	for _, name := range append(route.Links, route.Target) {
		names[name] = true
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if maps.Equal(names, w.names) {
		return
	}
	w.stopLocked()
	w.names, w.dirs = names, make(map[string]vfs.Info)
	for name := range names {
		w.dirs[filepath.Dir(name)] = vfs.Info{}
	}
	w.checkLocked()
}

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
	w.checkLocked()
}

func (w *watcher) checkLocked() {
	if w.closed {
		return
	}
	found := make(map[string]vfs.Info, len(w.dirs))
	same := w.events != nil
	for dir, watched := range w.dirs {
		info, err := vfs.OS.Stat(dir)
		if err != nil {
			w.stopLocked()
			w.setModeLocked(ModePoll, fmt.Errorf("watch %q: %w", dir, err))
			return
		}
		same = same && info.SameFile(watched)
		found[dir] = info
	}
	if same {
		return
	}
	w.stopLocked()
	if err := w.startLocked(); err != nil {
		w.setModeLocked(ModePoll, err)
		return
	}
	w.dirs = found
	w.setModeLocked(ModeWatch, nil)
	w.signal() // whatever happened before the watch
}

func (w *watcher) startLocked() error {
	events, err := newEvents()
	if err != nil {
		return fmt.Errorf("watch: %w", err)
	}
	for dir := range w.dirs {
		if err := events.Add(dir); err != nil {
			return errors.Join(fmt.Errorf("watch %q: %w", dir, err), events.Close())
		}
	}
	w.events = events
	names := w.names
	w.readers.Go(func() { w.read(events, names) })
	return nil
}

func (w *watcher) stopLocked() {
	if w.events != nil {
		w.events.Close()
		w.events = nil
	}
}

func (w *watcher) setModeLocked(name string, err error) {
	if w.mode.Name == name && (err == nil) == (w.mode.Err == nil) {
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

// read runs until events is closed. While a signal is not taken it reads no
// further: a process that follows a stream of changes at its own pace is then
// not kept busy by the events in between, which the kernel holds for it.
func (w *watcher) read(events *fsnotify.Watcher, names map[string]bool) {
	for {
		select {
		case e, ok := <-events.Events:
			if !ok {
				return
			}
			name := filepath.Clean(e.Name)
			if names[name] {
				select {
				case w.changes <- struct{}{}:
				case <-w.done:
					return
				}
			} else if (e.Has(fsnotify.Remove) || e.Has(fsnotify.Rename)) && w.isDir(name) {
				// A directory itself went: the watch is of no use now.
				w.lose(events, fmt.Errorf("watch %q: the directory was removed or renamed", name))
			}
		case err, ok := <-events.Errors:
			if !ok {
				return
			}
			// An overflow means that events were dropped: look.
			w.log.Warn("file-system events lost", "error", err)
			w.signal()
		}
	}
}

func (w *watcher) isDir(name string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, ok := w.dirs[name]
	return ok
}

func (w *watcher) lose(events *fsnotify.Watcher, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.events == events {
		w.stopLocked()
		w.setModeLocked(ModePoll, err)
		w.signal()
	}
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
	if !w.closed {
		close(w.done)
	}
	w.closed = true
	w.stopLocked()
	w.mu.Unlock()
	w.readers.Wait()
}
