package registry_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/machreg/machreg/internal/vfs"
	"github.com/machreg/machreg/registry"
)

// damages are what can happen to the page, and to the directory that it is in.
var damages = []struct {
	name   string
	damage func(page string) error
}{
	{"truncated", func(page string) error { return os.Truncate(page, 0) }},
	{"cut off", func(page string) error { return os.Truncate(page, 100) }},
	{"deleted", os.Remove},
	{"replaced", func(page string) error {
		return writeAndRename(page, make([]byte, 4096))
	}},
	{"replaced by a copy", func(page string) error {
		content, err := os.ReadFile(page)
		if err != nil {
			return err
		}
		return writeAndRename(page, content)
	}},
	{"overwritten", func(page string) error {
		f, err := os.OpenFile(page, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = f.Write(make([]byte, 4096))
		return err
	}},
	{"directory deleted", func(page string) error { return removeAll(gastown(page)) }},
	{"directory moved", func(page string) error {
		return os.Rename(gastown(page), fmt.Sprintf("%s.%d", gastown(page), rand.Uint64()))
	}},
}

// gastown is .gastown, of a page in .gastown/locks.
func gastown(page string) string { return filepath.Dir(filepath.Dir(page)) }

func writeAndRename(path string, content []byte) error {
	temp := path + ".new"
	if err := os.WriteFile(temp, content, 0o666); err != nil {
		return err
	}
	return replaceBy(temp, path)
}

// replaceBy renames temp over path. Where readers forbid that, it waits for them.
func replaceBy(temp, path string) error {
	for {
		if err := vfs.OS.Rename(temp, path); !errors.Is(err, vfs.ErrInUse) {
			return err
		}
	}
}

// readSharing reads a file that is replaced meanwhile. What os.ReadFile does keeps
// Windows from replacing it, and fails just after.
func readSharing(path string) ([]byte, error) {
	f, err := vfs.OS.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	data := make([]byte, info.Size)
	_, err = f.ReadAt(data, 0)
	return data, err
}

// The page is damaged between two commits: Latest is right again from the next
// commit on, and says meanwhile that it is slower.
func TestPageDamaged(t *testing.T) {
	for _, d := range damages {
		t.Run(d.name, func(t *testing.T) {
			path := newPath(t)
			quiet := &registry.Options{Refresh: registry.RefreshNever, PollInterval: never}
			writer, reader := open(t, path, quiet), open(t, path, quiet)
			add(t, writer, "a")
			sees(t, reader, "a")
			needPage(t, reader)
			if err := d.damage(reader.PagePath()); err != nil {
				t.Fatal(err)
			}
			add(t, writer, "b")
			sees(t, reader, "b")
			sees(t, writer, "b")
			// A process that knew nothing of the page before.
			add(t, open(t, path, quiet), "c")
			sees(t, reader, "c")
			sees(t, writer, "c")
			for _, r := range []*registry.MachineRegistry{reader, writer} {
				needPage(t, r)
				if err := r.Health(); err != nil {
					t.Errorf("Health() = %v after the repair", err)
				}
			}
		})
	}
}

// Without anybody to make a new page, Health and Stats say that there is none.
func TestPageLossIsReported(t *testing.T) {
	path := newPath(t)
	writer := open(t, path, nil)
	add(t, writer, "a")
	reader := open(t, path, &registry.Options{Refresh: registry.RefreshNever, PollInterval: never, ReadOnly: true})
	needPage(t, reader)
	writer.Close()
	before := time.Now()
	if err := os.Remove(reader.PagePath()); err != nil {
		t.Fatal(err)
	}
	reader.Maintain()
	sees(t, reader, "a")
	p := problem(reader.Health(), "latest")
	if p == nil || p.Since.Before(before) {
		t.Fatalf("Health() = %v, want latest since now", reader.Health())
	}
	if mode := reader.Stats().Latest; mode.Name != registry.ModeStamp || mode.Err == nil {
		t.Errorf("Stats().Latest = %+v, want stamps, and why", mode)
	}
}

// Processes read and write while the page, and the directory it is in, is
// damaged again and again. Nobody dies, nothing acknowledged is lost, and once
// the damage has ended, and readers have looked after the page, everybody's
// Latest is right.
func TestPageDamagedUnderLoad(t *testing.T) {
	path := newPath(t)
	r := open(t, path, &registry.Options{Sync: registry.SyncNone})
	add(t, r, "first")
	needPage(t, r)
	var readers [2]*child
	for i := range readers {
		readers[i] = startChild(t, roleRounds, path, "page")
	}
	var writers [2]*loadWriter
	for i := range writers {
		writers[i] = startLoad(t, path, fmt.Sprintf("load-%d", i))
	}
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 0))
	hits := map[string]int{}
	for range long(60) {
		for _, w := range writers {
			w.await()
		}
		d := damages[rng.IntN(len(damages))]
		switch err := d.damage(r.PagePath()); {
		case err == nil:
			hits[d.name]++
		case !errors.Is(err, fs.ErrNotExist): // else nobody has made it again yet
			t.Fatal(err)
		}
		for _, p := range readers {
			if got := p.asks("holds first", "holds"); got != "true <nil>" {
				t.Errorf("seed %d: a reader's Latest holds %q = %s", seed, "first", got)
			}
		}
	}
	total := 0
	for _, n := range hits {
		total += n
	}
	if total == 0 {
		t.Error("no damage was done")
	}
	t.Logf("seed %d: %v", seed, hits)
	for _, w := range writers {
		for _, name := range w.finish() {
			if snap, err := r.Latest(t.Context()); err != nil || !snap.Holds(name) {
				t.Errorf("seed %d: acknowledged %q is lost: %v", seed, name, err)
			}
		}
		// What is deleted while it is being used can refuse the write at hand,
		// and no other.
		if w.refused > total {
			t.Errorf("seed %d: %d damages, but %d refused writes", seed, total, w.refused)
		}
	}
	// A reader may be left with a page that no writer ever had, a copy that was
	// deleted at once. It finds out within its PollInterval.
	for _, p := range readers {
		p.asks("look", "looked")
	}
	add(t, r, "last")
	for _, p := range readers {
		if got := p.asks("holds last", "holds"); got != "true <nil>" {
			t.Errorf("seed %d: a reader's Latest after the damage: holds %q = %s", seed, "last", got)
		}
		p.wait()
	}
}

// roleLoad adds one machine after the other, and reports each, also if it was
// refused, until it is told to end.
var roleLoad = program("load", func(args []string) error {
	path, prefix := args[0], args[1]
	r, err := registry.OpenMachines(path, nil)
	if err != nil {
		return err
	}
	end := make(chan error)
	go func() { end <- awaitParent() }()
	for i := 0; ; i++ {
		select {
		case err := <-end:
			return errors.Join(err, r.Close())
		default:
		}
		name := fmt.Sprintf("%s-%d", prefix, i)
		if _, err := r.Add(context.Background(), machineOf(name)); err != nil {
			fmt.Println("refused", err)
			continue
		}
		fmt.Println("added", name)
	}
})

// loadWriter is a process that runs roleLoad.
type loadWriter struct {
	*child
	news  chan string // names, as they are acknowledged; closed at the end
	added []string
	// refused is how many adds failed; valid after finish.
	refused int
}

func startLoad(t testing.TB, path, prefix string) *loadWriter {
	t.Helper()
	w := &loadWriter{child: startChild(t, roleLoad, path, prefix), news: make(chan string, 1<<20)}
	go func() {
		defer close(w.news)
		for {
			line, ok := w.line()
			if !ok {
				return
			}
			if name, added := strings.CutPrefix(line, "added "); added {
				w.news <- name
			} else {
				w.refused++
			}
		}
	}()
	return w
}

// await waits for one more add.
func (w *loadWriter) await() {
	w.t.Helper()
	name, ok := <-w.news
	if !ok {
		w.t.Fatal("a writer ended by itself")
	}
	w.added = append(w.added, name)
}

// finish ends the writer, and returns what it has added.
func (w *loadWriter) finish() []string {
	w.t.Helper()
	w.proceed()
	for name := range w.news {
		w.added = append(w.added, name)
	}
	w.wait()
	return w.added
}
