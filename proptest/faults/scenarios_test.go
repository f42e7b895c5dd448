package faults_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/machreg/machreg/filelock"
	"github.com/machreg/machreg/registry"
)

// scenario is something that one or more handles do with a registry. prepare
// runs before the faults; run goes on when a step fails.
type scenario struct {
	name    string
	prepare func(w *world)
	run     func(w *world)
}

var scenarios = []scenario{
	{name: "first write of a missing file", run: func(w *world) {
		h := w.open()
		h.latest()
		h.add("a")
		h.add("b")
		h.close()
	}},
	{name: "open, read, close", prepare: existing, run: func(w *world) {
		h := w.open()
		h.latest()
		h.latest()
		h.close()
	}},
	{name: "commits", prepare: existing, run: func(w *world) {
		h := w.open()
		h.add("b")
		h.add("b") // nothing to write
		h.remove("a")
		h.update("c", "d")
		h.add("e")
		h.close()
	}},
	{name: "group", prepare: existing, run: func(w *world) {
		h := w.open()
		h.group("b", "c", "d")
		h.group("e", "f", "g")
		h.close()
	}},
	{name: "left-over temporary files", prepare: func(w *world) {
		existing(w)
		for i := range 2 {
			if err := w.disk.WriteFile(leftover(i), []byte(`{"version": 1,`)); err != nil {
				w.problemf("%v", err)
			}
		}
	}, run: func(w *world) {
		h := w.open()
		h.add("b")
		h.add("c")
		h.close()
	}},
	{name: "two handles", prepare: existing, run: func(w *world) {
		a, b := w.open(), w.open(func(o *registry.Options) { o.Page = registry.PageOff })
		a.add("b")
		b.latest()
		b.add("c")
		a.latest()
		a.add("d")
		b.add("e")
		a.close()
		b.close()
	}},
	{name: "foreign writes", prepare: existing, run: func(w *world) {
		h := w.open()
		w.foreign("x")
		h.refresh()
		w.foreign("y")
		h.add("b")
		w.foreign("z")
		h.refresh()
		h.close()
	}},
	{name: "corrupt, then good again", prepare: existing, run: func(w *world) {
		h := w.open()
		good := w.bytes()
		if err := w.disk.WriteFile(registryPath, good[:len(good)/2]); err != nil {
			w.problemf("%v", err)
		}
		h.refused("b")
		if err := w.disk.WriteFile(registryPath, good); err != nil {
			w.problemf("%v", err)
		}
		h.refresh()
		h.add("b")
		h.close()
	}},
	{name: "deleted, then put back", prepare: existing, run: func(w *world) {
		h := w.open()
		aside := filepath.Join(filepath.Dir(registryPath), "aside")
		if err := w.disk.Rename(registryPath, aside); err != nil {
			w.problemf("%v", err)
		}
		h.refused("b")
		if err := w.disk.Rename(aside, registryPath); err != nil {
			w.problemf("%v", err)
		}
		h.refresh()
		h.add("b")
		h.close()
	}},
	{name: "another mode and owner", prepare: func(w *world) {
		existing(w)
		f, err := w.disk.Open(registryPath)
		if err == nil {
			err = f.Chmod(0o640)
		}
		if err == nil {
			err = f.Chown(1234, 5678)
		}
		if err == nil {
			err = f.SetModTime(4102444800_000000000) // 2100: the clock is set back
		}
		if err != nil {
			w.problemf("%v", err)
		}
		f.Close()
	}, run: func(w *world) {
		h := w.open()
		h.add("b")
		h.add("c")
		info, err := w.disk.Stat(registryPath)
		if err != nil {
			w.problemf("%v", err)
		}
		// An owner that may not be given is not kept, but nobody gets rights
		// by that.
		denied := w.explained(syscall.EACCES)
		if kept := info.Mode.Perm() == 0o640 && info.UID == 1234 && info.GID == 5678; !kept && !denied || info.Mode.Perm()&^0o640 != 0 {
			w.problemf("the file is now %+v", info)
		}
		h.close()
	}},
	{name: "reading only", prepare: existing, run: func(w *world) {
		h := w.open(func(o *registry.Options) { o.ReadOnly = true })
		w.foreign("x")
		h.refresh()
		h.close()
	}},
	{name: "without syncing", prepare: existing, run: func(w *world) {
		h := w.open(func(o *registry.Options) { o.Sync = registry.SyncNone })
		h.add("b")
		h.remove("b")
		h.close()
	}},
	{name: "other options", prepare: existing, run: func(w *world) {
		// Each spells the lock directory in its own way.
		a := w.open()
		b := w.open(func(o *registry.Options) {
			o.Sync, o.Page, o.GroupLimit = registry.SyncNone, registry.PageOff, 1
			o.LockDir = filepath.Join(w.lockDir, "..") + "/" + filepath.Base(w.lockDir) + "/."
		})
		c := w.open(func(o *registry.Options) {
			o.ReadOnly, o.LockDir = true, w.lockDir+"/"
		})
		b.add("b")
		a.add("b") // nothing to write, but to sync
		c.latest()
		a.add("c")
		b.group("d", "e")
		a.latest()
		w.foreign("x")
		if mended {
			b.add("x") // nothing to write, but to settle which revision it is
		}
		a.add("f")
		c.refresh()
		b.latest()
		c.close()
		b.close()
		a.close()
	}},
	{name: "without syncing, then a failing sync", prepare: existing, run: func(w *world) {
		none := w.open(func(o *registry.Options) { o.Sync = registry.SyncNone })
		full := w.open(func(o *registry.Options) { o.Page = registry.PageOff })
		none.add("b")
		full.add("b")
		full.add("b")
		none.add("c")
		none.close()
		full.add("c")
		full.close()
	}},
	{name: "watch", prepare: existing, run: func(w *world) {
		h := w.open()
		stop := h.follow()
		h.add("b")
		w.foreign("x")
		h.refresh()
		h.remove("b")
		stop()
		h.close()
	}},
}

func init() {
	if !mended {
		return
	}
	scenarios = append(scenarios, scenario{name: "first write of a missing directory", prepare: func(w *world) {
		if err := w.disk.Remove(filepath.Dir(registryPath)); err != nil {
			w.problemf("%v", err)
		}
	}, run: func(w *world) {
		h := w.open()
		h.latest()
		if h != nil {
			if _, err := h.r.Remove(context.Background(), "a"); !errors.Is(err, registry.ErrNotFound) && !w.explained(err) {
				w.problemf("remove from nothing: %v", err)
			}
		}
		if _, err := w.disk.Stat(filepath.Dir(registryPath)); !errors.Is(err, fs.ErrNotExist) {
			w.problemf("a write that was refused made the directory (%v)", err)
		}
		h.add("a")
		h.add("b")
		h.close()
	}})
}

// existing is a registry that somebody has used before, and that is on disk.
func existing(w *world) {
	h := w.open()
	h.add("a")
	h.close()
	w.disk.SyncAll()
}

// foreign adds a name as an editor would: in place, without lock, revision or
// checksum, and in another form.
func (w *world) foreign(name string) {
	if _, whole := w.file(); !whole {
		return
	}
	w.now = w.now.clone()
	w.now[name] = true
	text := byHand(w.now)
	if err := w.disk.WriteFile(registryPath, text); err != nil {
		w.problemf("%v", err)
	}
	w.edited = text
}

// byHand is a file as people write it: without revision and checksum.
func byHand(n names) []byte {
	machines := map[string]registry.Machine{}
	for name := range n {
		machines[name] = machineOf(name)
	}
	text, err := json.MarshalIndent(map[string]any{"version": 1, "machines": machines}, "", "\t")
	if err != nil {
		panic(err)
	}
	return text
}

// update adds several names in one transaction.
func (h *handle) update(add ...string) {
	change := func(n names) {
		for _, name := range add {
			n[name] = true
		}
	}
	h.write(fmt.Sprintf("update %q", add), change, func() (registry.Revision, error) {
		return h.r.Update(context.Background(), func(tx *registry.Tx[registry.Machine]) error {
			for _, name := range add {
				if err := tx.Put(name, machineOf(name)); err != nil {
					return err
				}
			}
			return nil
		})
	})
}

// refused is an add that cannot succeed, faults or not.
func (h *handle) refused(name string) {
	if h == nil {
		return
	}
	before := h.w.bytes()
	served, _ := namesIn(h.r.Snapshot())
	if rev, err := h.r.Add(context.Background(), machineOf(name)); err == nil {
		h.w.problemf("add to a file that cannot be used = %d, nil", rev)
	}
	if string(h.w.bytes()) != string(before) {
		h.w.problemf("the file was changed to %.300q", h.w.bytes())
	}
	h.look("refused add", served)
}

// group adds names from as many goroutines, which wait for the lock together.
// Each is answered for itself.
func (h *handle) group(add ...string) {
	if h == nil {
		return
	}
	w := h.w
	held, err := filelock.New(filepath.Join(w.lockDir, "machines.json.lock"), nil).Lock(context.Background())
	if err != nil {
		w.problemf("%v", err)
		return
	}
	before, was := w.bytes(), w.now
	served, _ := namesIn(h.r.Snapshot())
	errs := make([]error, len(add))
	var calling, done sync.WaitGroup
	for i, name := range add {
		calling.Add(1)
		done.Go(func() {
			calling.Done()
			_, errs[i] = h.r.Add(context.Background(), machineOf(name))
		})
	}
	calling.Wait()
	if err := held.Unlock(); err != nil {
		w.problemf("%v", err)
	}
	done.Wait()
	f, whole := w.file()
	if !whole {
		return
	}
	next, possible := was.clone(), was.clone()
	for i, name := range add {
		err := errs[i]
		if err != nil && !w.explained(err) {
			w.problemf("group add %s: %v", name, err)
		}
		switch {
		case err == nil, errors.Is(err, registry.ErrNotDurable):
			next[name], possible[name] = true, true
		case errors.Is(err, registry.ErrInDoubt):
			possible[name] = true
		}
	}
	for name := range next {
		if !f.names[name] {
			w.problemf("after a group with errors %v the file holds %v, want %v", errs, f.names, next)
		}
	}
	for name := range f.names {
		if !possible[name] {
			w.problemf("after a group with errors %v the file holds %v, want %v", errs, f.names, next)
		}
	}
	if next.equal(was) && possible.equal(was) && string(before) != string(w.bytes()) {
		w.problemf("a group failed with %v, but the file changed", errs)
	}
	w.now = f.names
	h.look("group", served, was, next, f.names) // next: where each write has its own update
}

// follow watches the registry until it is stopped, and then demands that the
// changes, composed in order, give what the handle serves.
func (h *handle) follow() (stop func()) {
	if h == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(context.Background())
	composed := names{}
	type step struct {
		revision registry.Revision
		holds    names
	}
	steps := make(chan step)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		var last registry.Revision
		for c, err := range h.r.Watch(ctx, registry.WithInitial()) {
			if err != nil {
				return
			}
			if c.From != last {
				h.w.problemf("a change from %d follows one to %d", c.From, last)
			}
			last = c.To
			for _, item := range c.Added {
				if err := composed.add(item.Name, item.Value); err != nil {
					h.w.problemf("watch: %v", err)
				}
			}
			for _, item := range c.Removed {
				delete(composed, item.Name)
			}
			select {
			case steps <- step{c.To, composed.clone()}:
			case <-ctx.Done():
				return
			}
		}
	}()
	return func() {
		want, _ := namesIn(h.r.Snapshot())
		target, patience := h.r.Revision(), time.NewTimer(20*time.Second)
		defer patience.Stop()
		// An edit from outside is a change that keeps the revision, so that the
		// revision alone does not tell that this is the last.
		var last step
		for reached := false; !reached; {
			select {
			case last = <-steps:
				reached = last.revision >= target && last.holds.equal(want)
			case <-patience.C:
				h.w.problemf("the changes of a watch make %v at revision %d, the handle serves %v at %d", last.holds, last.revision, want, target)
				reached = true
			}
		}
		cancel()
		<-ended
	}
}
