package proptest

import (
	"fmt"
	"strings"

	"pgregory.net/rapid"

	"github.com/machreg/machreg/registry"
)

// cmdThousands puts thousands of entries into the file that cannot be used,
// writes beside them, and takes them out again: everything that follows would
// take long.
func (w *world) cmdThousands(t *rapid.T) {
	if w.broken != ok || rapid.IntRange(0, 39).Draw(t, "seldom") != 0 {
		t.Skip("seldom")
	}
	value := rapid.SampledFrom(badValues).Draw(t, "value")
	next := w.now.respelt()
	for i := range rapid.IntRange(1000, 4000).Draw(t, "entries") {
		name := fmt.Sprintf("bad-%04d", i)
		next.entries[name] = badEntry(name, value)
	}
	w.place(t, w.spell(t, next))
	w.adoptFile(t, next)
	w.check(t)
	for range 2 {
		w.cmdAdd(t)
		w.check(t)
	}
	next = w.now.respelt()
	for name := range next.entries {
		if strings.HasPrefix(name, "bad-") {
			delete(next.entries, name)
		}
	}
	w.place(t, w.spell(t, next))
	w.adoptFile(t, next)
}

// cmdLarge writes a value of a size up to the smallest limit, or a little
// beyond, and seldom a much larger one.
func (w *world) cmdLarge(t *rapid.T) {
	if rapid.IntRange(0, 5).Draw(t, "seldom") != 0 {
		t.Skip("seldom")
	}
	size := rapid.OneOf(
		rapid.IntRange(0, smallest+smallest/8),
		rapid.IntRange(smallest-1<<10, smallest),
		rapid.SampledFrom([]int{4095, 4096, 4097, 32<<10 - 1, 32 << 10, 1 << 20}),
	).Draw(t, "size")
	h, m := w.pick(t), machineGen.Draw(t, "machine")
	m.TownPath = strings.Repeat("x", size)
	w.write(t, h, fmt.Sprintf("add %s with %d bytes", m.Name, size), putting(m),
		func() (registry.Revision, error) { return plainPut(h, m) })
	w.check(t)
	// The largest are not left to what follows, which would take long.
	if size > 2*smallest || size > smallest/2 && rapid.Bool().Draw(t, "small again") {
		for _, h := range w.handles {
			if h != nil && !h.way.ReadOnly && w.unusable(h) == ok {
				m.TownPath = ""
				w.write(t, h, "add "+m.Name+" small again", putting(m), func() (registry.Revision, error) { return plainPut(h, m) })
				return
			}
		}
	}
}
