package registry

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/machreg/machreg/internal/vfs"
)

// watcher turns file-system events for one name in one directory into a
// signal. It watches the directory: a watch on the file would follow the old
// version when a new one is renamed over it.
//
// It may be without a working watch at any time (no inotify instance left, the
// directory deleted); check then tries again. A nil watcher never signals.
type watcher struct {
	dir, base string
	log       *slog.Logger
	changes   chan struct{} // of one place: a signal stands for any number of events
	done      chan struct{} // closed by Close

	mu      sync.Mutex
	events  *fsnotify.Watcher // nil without a working watch
	watched vfs.Info          // the directory, as it was when the watch began
	mode    Mode
	closed  bool
	readers sync.WaitGroup
}

// newEvents is replaced by the tests that take watches away.
var newEvents = fsnotify.NewWatcher

func watch(dir, base string, log *slog.Logger) *watcher {
	w := &watcher{dir: dir, base: base, log: log, changes: make(chan struct{}, 1), done: make(chan struct{})}
	w.check()
	return w
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
// of the directory that is now at the path.
func (w *watcher) check() {
	if w == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return
	}
	info, err := vfs.OS.Stat(w.dir)
	if err == nil && w.events != nil && info.SameFile(w.watched) {
		return
	}
	w.stopLocked()
	if err == nil {
		err = w.startLocked()
	}
	if err != nil {
		w.setModeLocked(ModePoll, fmt.Errorf("watch %q: %w", w.dir, err))
		return
	}
	w.watched = info
	w.setModeLocked(ModeWatch, nil)
	w.signal() // whatever happened before the watch
}

func (w *watcher) startLocked() error {
	events, err := newEvents()
	if err != nil {
		return err
	}
	if err := events.Add(w.dir); err != nil {
		return errors.Join(err, events.Close())
	}
	w.events = events
	w.readers.Go(func() { w.read(events) })
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
func (w *watcher) read(events *fsnotify.Watcher) {
	for {
		select {
		case e, ok := <-events.Events:
			if !ok {
				return
			}
			if filepath.Base(e.Name) == w.base {
				select {
				case w.changes <- struct{}{}:
				case <-w.done:
					return
				}
			} else if filepath.Clean(e.Name) == w.dir && (e.Has(fsnotify.Remove) || e.Has(fsnotify.Rename)) {
				// The directory itself went: the watch is of no use now.
				w.lose(events, fmt.Errorf("watch %q: the directory was removed or renamed", w.dir))
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
