package proptest

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"pgregory.net/rapid"
)

// moving is what the path of a registry leads to, which may change while
// handles are open. Where it may, the registry's directory is a link:
//
//	BASE/current -> releases/N     the directory that handles are opened in
//	BASE/releases/N/FILE           the file, or a link to BASE/shared/N/NAME
//
// Handles must serve the path as it was given. A write that is acknowledged is
// in the file that the path leads to afterwards, and no link is written over:
// both are looked at after every command.
type moving struct {
	moves bool
	made  int // directories so far
	// left is what was in each real file when the path stopped leading there.
	left map[string]content
	// links are those on the path and what each says.
	links map[string]string
}

// layOut makes the directory that handles are opened in.
func (w *world) layOut(t *rapid.T) {
	if !w.follows || w.file == "" || !rapid.Bool().Draw(t, "moves") {
		return
	}
	release := w.newPlace(t, "releases")
	w.dir = filepath.Join(w.base, "current")
	if os.Symlink(release, w.dir) != nil { // nobody may make links here
		w.dir = w.base
		return
	}
	w.moves, w.left = true, make(map[string]content)
}

// newPlace makes a directory and returns its path relative to base.
func (w *world) newPlace(t *rapid.T, kind string) string {
	w.made++
	place := filepath.Join(kind, fmt.Sprint(w.made))
	if err := os.MkdirAll(filepath.Join(w.base, place), 0o755); err != nil {
		t.Fatalf("make a directory: %v", err)
	}
	return place
}

// must ends the test if a change to the path fails: it is the test's own.
func (w *world) must(t *rapid.T, errs ...error) {
	for _, err := range errs {
		if err != nil {
			t.Fatalf("change the path: %v", err)
		}
	}
}

// turn makes link lead to target, at one stroke.
func (w *world) turn(t *rapid.T, link, target string) {
	temp := filepath.Join(w.base, "turned")
	w.must(t, os.Symlink(target, temp), os.Rename(temp, link))
}

// real is the file that the path leads to.
func (w *world) real(t *rapid.T) string {
	path, err := filepath.EvalSymlinks(w.path)
	w.must(t, err)
	return path
}

func isLink(path string) bool {
	info, err := os.Lstat(path)
	return err == nil && info.Mode()&os.ModeSymlink != 0
}

// noteLinks remembers the links on the path, as the test or a foreign writer
// left them. One that was renamed over the link to the file has moved the registry.
func (w *world) noteLinks(t *rapid.T) {
	if _, was := w.links[w.path]; was && !isLink(w.path) {
		w.stray(turned)
		w.guessed = true
		clear(w.left) // what the link led to may have been written since
	}
	w.links = make(map[string]string)
	for _, path := range []string{w.dir, w.path} {
		if isLink(path) {
			target, err := os.Readlink(path)
			w.must(t, err)
			w.links[path] = target
		}
	}
}

func (w *world) checkLinks(t *rapid.T) {
	for path, want := range w.links {
		if got, err := os.Readlink(path); err != nil || got != want {
			t.Fatalf("the link %q led to %q, and leads to %q now (%v)", path, want, got, err)
		}
	}
}

// movable skips the command unless there is a file that every handle has seen.
func (w *world) movable(t *rapid.T) {
	if w.broken != ok || !w.written {
		t.Skip("there is nothing good to move")
	}
	for _, h := range w.handles {
		if h == nil {
			continue
		}
		if w.unusable(h) != ok {
			t.Skip("a handle cannot read it")
		}
		if err := h.Subject.(Refresher).Refresh(); err != nil {
			t.Fatalf("%v: refresh: %v", h, err)
		}
		h.low = w.last()
	}
}

// elsewhere enters that the path leads to another file now.
func (w *world) elsewhere(t *rapid.T, how astray, next content) {
	w.guessed = true // the other file's writers counted for themselves
	w.witness.close()
	w.adoptFile(t, next)
	w.stray(how)
}

// stray enters that no handle knows of a new place yet.
func (w *world) stray(how astray) {
	for _, h := range w.handles {
		if h != nil {
			h.astray = max(h.astray, how)
		}
	}
}

// unusableFor makes the path unusable until it is mended.
func (w *world) unusableFor(t *rapid.T, why class, mend func(*rapid.T)) {
	w.broken, w.mend = why, mend
	w.witness.close()
	w.noteLinks(t)
}

// cmdBecomeLink moves the file to a shared place and leaves a link behind.
func (w *world) cmdBecomeLink(t *rapid.T) {
	w.movable(t)
	if isLink(w.path) {
		t.Skip("it is a link already")
	}
	name := rapid.SampledFrom([]string{w.file, "other.json"}).Draw(t, "file name")
	target := filepath.Join(w.base, w.newPlace(t, "shared"), name)
	w.must(t, os.Rename(w.path, target))
	if rapid.Bool().Draw(t, "relative") {
		target, _ = filepath.Rel(filepath.Dir(w.path), target)
		target = filepath.Join("..", target) // from releases/N, not from current
	}
	w.turn(t, w.path, target)
	w.elsewhere(t, moved, w.now.clone())
}

// cmdTurnLink turns the link to a new file, or to one that it led to before.
func (w *world) cmdTurnLink(t *rapid.T) {
	w.movable(t)
	if !isLink(w.path) {
		t.Skip("it is not a link")
	}
	here := w.real(t)
	w.left[here] = w.now.clone()
	target, next := w.another(t, here, "shared")
	w.turn(t, w.path, target)
	w.elsewhere(t, turned, next)
}

// cmdTurnDirectory turns the directory that the registry is in, as a
// deployment does.
func (w *world) cmdTurnDirectory(t *rapid.T) {
	w.movable(t)
	w.left[w.real(t)] = w.now.clone()
	directory, err := filepath.EvalSymlinks(w.dir)
	w.must(t, err)
	target, next := w.another(t, filepath.Join(directory, w.file), "releases")
	w.turn(t, w.dir, filepath.Dir(target))
	w.elsewhere(t, turned, next)
}

// another draws a file in a directory of that kind that is not the one here:
// one that the path led to before, or a new one.
func (w *world) another(t *rapid.T, here, kind string) (string, content) {
	var paths []string
	for path := range w.left {
		if path != here && filepath.Dir(filepath.Dir(path)) == filepath.Join(filepath.Dir(filepath.Dir(here))) {
			if info, err := os.Lstat(path); err == nil && info.Mode().IsRegular() && (kind == "shared" || filepath.Base(path) == w.file) {
				paths = append(paths, path)
			}
		}
	}
	slices.Sort(paths)
	if len(paths) > 0 && rapid.Bool().Draw(t, "back") {
		path := rapid.SampledFrom(paths).Draw(t, "path")
		return path, w.left[path]
	}
	next := w.edit(t, w.now)
	real, err := filepath.EvalSymlinks(w.base)
	w.must(t, err)
	path := filepath.Join(real, w.newPlace(t, kind), w.file)
	w.must(t, os.WriteFile(path, w.spell(t, next), 0o644))
	return path, next
}

// cmdDangle turns the link to a file that is not there.
func (w *world) cmdDangle(t *rapid.T) {
	w.movable(t)
	if !isLink(w.path) {
		t.Skip("it is not a link")
	}
	target, err := os.Readlink(w.path)
	w.must(t, err)
	w.turn(t, w.path, filepath.Join(w.base, w.newPlace(t, "shared"), w.file))
	w.unusableFor(t, missing, func(t *rapid.T) {
		if _, err := os.Stat(w.path); err == nil {
			t.Fatalf("a write was made through a dangling link by a handle that had seen the file")
		}
		w.turn(t, w.path, target)
	})
}

// away moves path away until it is mended; nothing may be in its place then.
func (w *world) away(t *rapid.T, path string) (back func(*rapid.T)) {
	hidden := filepath.Join(w.base, w.newPlace(t, "away"), "it")
	w.must(t, os.Rename(path, hidden))
	return func(t *rapid.T) {
		if _, err := os.Lstat(path); err == nil {
			t.Fatalf("%q was moved away and has been made again", path)
		}
		w.must(t, os.Rename(hidden, path))
	}
}

func (w *world) cmdTakeAway(t *rapid.T) {
	w.movable(t)
	w.unusableFor(t, missing, w.away(t, w.path))
}

// cmdMoveDirectory moves the whole directory away.
func (w *world) cmdMoveDirectory(t *rapid.T) {
	w.movable(t)
	directory, err := filepath.EvalSymlinks(w.dir)
	w.must(t, err)
	w.unusableFor(t, missing, w.away(t, directory))
}

func (w *world) cmdBecomeDirectory(t *rapid.T) {
	w.movable(t)
	back := w.away(t, w.path)
	w.must(t, os.Mkdir(w.path, 0o755))
	w.unusableFor(t, other, func(t *rapid.T) {
		w.must(t, os.Remove(w.path))
		back(t)
	})
}
