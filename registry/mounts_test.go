package registry_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/machreg/machreg/internal/vfs"
	"github.com/machreg/machreg/internal/vfs/errorfs"
	"github.com/machreg/machreg/registry"
	"github.com/machreg/machreg/snapshot"
)

// configMount is a directory that is kept as Kubernetes keeps ConfigMaps and
// Secrets: f -> ..data/f, ..data -> ..N, and a new directory for every update.
type configMount struct {
	dir     string
	n       int
	keep    bool      // the directories of older contents
	swapped time.Time // when the link was last renamed
}

const (
	mountData = "..data"
	mountFile = "machines.json"
)

// path is what a program in the pod is given.
func (m *configMount) path() string { return filepath.Join(m.dir, mountFile) }

// update puts content there in the steps that a kubelet takes: the directory,
// the file, its mode, a second link that is renamed over the first, and the end
// of the directory before.
func (m *configMount) update(content []byte) error {
	old := fmt.Sprintf("..%d", m.n)
	m.n++
	name := fmt.Sprintf("..%d", m.n)
	dir := filepath.Join(m.dir, name)
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	file := filepath.Join(dir, mountFile)
	if err := os.WriteFile(file, content, 0o600); err != nil {
		return err
	}
	if err := os.Chmod(file, 0o644); err != nil {
		return err
	}
	data := filepath.Join(m.dir, mountData)
	if err := os.Symlink(name, data+"_tmp"); err != nil {
		return err
	}
	m.swapped = time.Now()
	if err := os.Rename(data+"_tmp", data); err != nil {
		return err
	}
	if m.n == 1 {
		return os.Symlink(filepath.Join(mountData, mountFile), m.path())
	}
	if m.keep {
		return nil
	}
	return removeAll(filepath.Join(m.dir, old))
}

func (m *configMount) put(t testing.TB, content []byte) {
	t.Helper()
	if err := m.update(content); err != nil {
		t.Fatal(err)
	}
}

// newConfigMount has a first content.
func newConfigMount(t testing.TB, content []byte) *configMount {
	t.Helper()
	m := &configMount{dir: t.TempDir()}
	if err := m.update(content); err != nil {
		t.Skipf("NOT TESTED: no configuration mount can be made: %v", err)
	}
	return m
}

// handWritten is a registry as people write it: without revision and checksum.
func handWritten(t testing.TB, names ...string) []byte {
	t.Helper()
	machines := make(map[string]registry.Machine)
	for _, name := range names {
		machines[name] = machineOf(name)
	}
	data, err := json.Marshal(map[string]any{"version": 1, "machines": machines})
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// warnings is a logger whose records at level Warn and above are counted.
type warnings struct {
	slog.Handler
	seen atomic.Pointer[string]
}

func (w *warnings) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelWarn }

func (w *warnings) Handle(_ context.Context, r slog.Record) error {
	text := r.Message
	r.Attrs(func(a slog.Attr) bool { text += " " + a.String(); return true })
	w.seen.Store(&text)
	return nil
}

func (w *warnings) WithAttrs([]slog.Attr) slog.Handler { return w }
func (w *warnings) WithGroup(string) slog.Handler      { return w }

// follows waits until Watch has told of name, and demands that Latest and Get
// have it then.
func follows(t testing.TB, r *registry.MachineRegistry, next func() registry.Change[registry.Machine], name string) {
	t.Helper()
	for {
		c := next()
		if slices.ContainsFunc(c.Added, func(i snapshot.Item[registry.Machine]) bool { return i.Name == name }) {
			break
		}
		if t.Failed() {
			t.FailNow()
		}
	}
	if m, err := r.Get(name); err != nil || m != machineOf(name) {
		t.Fatalf("Get(%q) = %+v, %v, want what Watch told of", name, m, err)
	}
	if snap, err := r.Latest(t.Context()); err != nil || !snap.Holds(name) {
		t.Fatalf("Latest = %v, %v, want one with %q", snap, err, name)
	}
}

// An update of a configuration mount arrives by event, however often it
// happens, whether the content is one of this library or written by hand, and
// whether or not the directory before is removed at once. It is nothing wrong:
// the watch is never lost, and nothing is logged.
func TestConfigMountByEvent(t *testing.T) {
	for _, content := range []string{"settled", "by hand"} {
		for _, keep := range []bool{false, true} {
			for _, readOnly := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/kept=%t/read only=%t", content, keep, readOnly), func(t *testing.T) {
					t.Parallel()
					original := newPath(t)
					source := open(t, original, &registry.Options{Sync: registry.SyncNone, Refresh: registry.RefreshNever})
					make := func(name string) []byte {
						if content == "by hand" {
							return handWritten(t, name)
						}
						add(t, source, name)
						return mustRead(t, original)
					}
					m := newConfigMount(t, make("first"))
					m.keep = keep
					warned := &warnings{}
					r := open(t, m.path(), &registry.Options{PollInterval: never, ReadOnly: readOnly, Logger: slog.New(warned)})
					needEvents(t, r)
					next := steps(t, r.Watch(bounded(t)))
					for i := range long(200) {
						name := fmt.Sprintf("m-%d", i)
						m.put(t, make(name))
						follows(t, r, next, name)
					}
					if mode := r.Stats().Changes; mode.Name != registry.ModeWatch || !mode.Since.IsZero() {
						t.Errorf("Stats().Changes = %+v, want a watch since Open", mode)
					}
					if err := r.Health(); err != nil {
						t.Errorf("Health() = %v", err)
					}
					registry.DrainLogs(r.Registry)
					if text := warned.seen.Load(); text != nil {
						t.Errorf("logged: %s", *text)
					}
				})
			}
		}
	}
}

// Where the operating system reports nothing, an update is found by looking.
func TestConfigMountByPolling(t *testing.T) {
	for name, o := range map[string]registry.Options{
		"told to poll":  {Refresh: registry.RefreshPoll},
		"without page":  {Refresh: registry.RefreshPoll, Page: registry.PageOff},
		"read only":     {Refresh: registry.RefreshPoll, ReadOnly: true},
		"deaf watch":    {},
		"never unasked": {Refresh: registry.RefreshNever},
	} {
		t.Run(name, func(t *testing.T) {
			if name == "deaf watch" {
				t.Cleanup(registry.ReplaceEvents(func() (*fsnotify.Watcher, error) { return deafWatcher() }))
			}
			for _, keep := range []bool{false, true} {
				m := newConfigMount(t, handWritten(t, "first"))
				m.keep = keep
				o.PollInterval = 5 * time.Millisecond
				r := open(t, m.path(), &o)
				for i := range 50 {
					name := fmt.Sprintf("m-%d", i)
					m.put(t, handWritten(t, name))
					eventually(t, "the update is seen", func() bool {
						if o.Refresh == registry.RefreshNever {
							_, err := r.Latest(t.Context())
							return err == nil && r.Snapshot().Holds(name)
						}
						_, err := r.Get(name)
						return err == nil
					})
				}
				eventually(t, "Health is good", func() bool { return r.Health() == nil })
			}
		})
	}
}

// deafWatcher watches, and hears nothing: as on a network file system.
func deafWatcher() (*fsnotify.Watcher, error) {
	w, err := fsnotify.NewWatcher()
	if err == nil {
		w.Events = make(chan fsnotify.Event)
	}
	return w, err
}

// Trees of links as people have them. Every turn arrives by event.
func TestTreesOfLinks(t *testing.T) {
	for _, tree := range []struct {
		name string
		// make puts content n where no link leads yet; turn makes the path lead
		// there.
		path  string
		place func(n int) string
		setup [][2]string // links: where they stand, what they say ($BASE is the root)
		turn  func(base string, n int) (link, to string)
	}{
		{
			name:  "current release",
			path:  "current/machines.json",
			place: func(n int) string { return fmt.Sprintf("releases/%d/machines.json", n) },
			turn:  func(_ string, n int) (string, string) { return "current", fmt.Sprintf("releases/%d", n) },
		},
		{
			name:  "a link in a parent's parent, absolute",
			path:  "srv/town/etc/machines.json",
			place: func(n int) string { return fmt.Sprintf("towns/%d/etc/machines.json", n) },
			turn:  func(base string, n int) (string, string) { return "srv/town", fmt.Sprintf("%s/towns/%d", base, n) },
		},
		{
			name:  "stow: a relative link to the file, through a folded directory",
			path:  "home/.config/machreg/machines.json",
			setup: [][2]string{{"home/.config/machreg", "../../stow/now/.config/machreg"}},
			place: func(n int) string { return fmt.Sprintf("stow/%d/.config/machreg/machines.json", n) },
			turn:  func(_ string, n int) (string, string) { return "stow/now", fmt.Sprint(n) },
		},
		{
			name: "home-manager: file, generation, profile, store",
			path: "home/machines.json",
			setup: [][2]string{
				{"home/machines.json", "$BASE/profiles/home-manager/home-files/machines.json"},
				{"profiles/home-manager", "home-manager-link"},
			},
			place: func(n int) string { return fmt.Sprintf("store/%d/home-files/machines.json", n) },
			turn: func(base string, n int) (string, string) {
				return "profiles/home-manager-link", fmt.Sprintf("%s/store/%d", base, n)
			},
		},
		{
			name:  "up and down again through a link",
			path:  "current/../etc/machines.json",
			place: func(n int) string { return fmt.Sprintf("releases/%d/etc/machines.json", n) },
			turn:  func(_ string, n int) (string, string) { return "current", fmt.Sprintf("releases/%d/bin", n) },
		},
		{
			name:  "one file of a mount, as a link that is turned",
			path:  "app/machines.json",
			place: func(n int) string { return fmt.Sprintf("volume/%d.json", n) },
			turn: func(_ string, n int) (string, string) {
				return "app/machines.json", fmt.Sprintf("../volume/%d.json", n)
			},
		},
	} {
		for _, remove := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/removed=%t", tree.name, remove), func(t *testing.T) {
				t.Parallel()
				base := t.TempDir()
				link := func(at, to string) {
					at = filepath.Join(base, at)
					if err := errors.Join(os.MkdirAll(filepath.Dir(at), 0o755), os.Symlink(strings.ReplaceAll(to, "$BASE", base), at+".new"), os.Rename(at+".new", at)); err != nil {
						t.Skipf("NOT TESTED: no links: %v", err)
					}
				}
				update := func(n int, name string) {
					place := filepath.Join(base, tree.place(n))
					for _, dir := range []string{filepath.Dir(place), filepath.Join(base, fmt.Sprintf("releases/%d/bin", n))} {
						if err := os.MkdirAll(dir, 0o755); err != nil {
							t.Fatal(err)
						}
					}
					mustWrite(t, place, string(handWritten(t, name)))
					link(tree.turn(base, n))
					if remove && n > 1 {
						if err := removeAll(filepath.Join(base, tree.place(n-1))); err != nil {
							t.Fatal(err)
						}
					}
				}
				for _, l := range tree.setup {
					link(l[0], l[1])
				}
				update(1, "first")
				path := base + "/" + tree.path // "x/.." is not to be cleaned away
				r := open(t, path, &registry.Options{PollInterval: never})
				needEvents(t, r)
				next := steps(t, r.Watch(bounded(t)))
				for n := range 30 {
					name := fmt.Sprintf("m-%d", n)
					update(n+2, name)
					follows(t, r, next, name)
				}
				add(t, r, "mine")
				if raw := mustParse(t, filepath.Join(base, tree.place(31))); raw.Machines["mine"] != machineOf("mine") {
					t.Errorf("the write is not where the path leads: %+v", raw)
				}
				if err := r.Health(); err != nil {
					t.Errorf("Health() = %v", err)
				}
			})
		}
	}
}

// The system follows links one after the other. A look that has read a link just
// before it is turned finds nothing, if the old directory is removed at once;
// the registry was there all the time.
func TestLookBetweenSwapAndRemoval(t *testing.T) {
	m := newConfigMount(t, handWritten(t, "a"))
	disk := errorfs.Wrap(vfs.OS)
	miss := func() *errorfs.Injection {
		return disk.Inject(errorfs.Plan{
			Match: func(op errorfs.Op) bool { return op.Kind == errorfs.Open && op.Path == m.path() },
			Fault: errorfs.Fail(syscall.ENOENT),
		})
	}
	atOpen := miss()
	r := open(t, m.path(), &registry.Options{Refresh: registry.RefreshNever, ReadOnly: true, FS: disk})
	if !r.Snapshot().Holds("a") {
		t.Error("a registry that was there is opened as an empty one")
	}
	m.put(t, handWritten(t, "b"))
	atRefresh := miss()
	if snap, err := r.Latest(t.Context()); err != nil || !snap.Holds("b") {
		t.Errorf("Latest = %v, %v, want the new content", snap, err)
	}
	for _, i := range []*errorfs.Injection{atOpen, atRefresh} {
		if i.Fired() != 1 {
			t.Errorf("the fault struck %d times, want once", i.Fired())
		}
	}
}

// bounded ends a watch to which nothing comes: without it the test would hang.
func bounded(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), time.Duration(long(1))*time.Minute)
	t.Cleanup(cancel)
	return ctx
}
