package crashfs

import (
	"bytes"
	"maps"
	"math/rand/v2"
	"slices"
)

// Crash returns a file system in one of the states that a loss of power could
// leave now, chosen by rng; everything in it is durable, as it is what was read
// back from the disk. f goes on as if nothing had happened. A given rng state
// always makes the same choice.
func (f *FS) Crash(rng *rand.Rand) *FS {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := New(&f.opts)
	c.ticks = f.ticks
	c.numbers = numbers{used: make(map[uint64]bool), low: 2}
	d := recovery{rng: rng, blockSize: f.opts.BlockSize, to: c, entries: make(map[*inode]map[string]*inode), at: make(map[*inode]place)}
	d.locate(f.root)
	for _, e := range slices.Concat(f.dropped, f.journal) {
		for _, ch := range e {
			if ch.to != nil {
				d.locate(ch.to) // a directory may have durable entries before its own name is
			}
		}
	}
	for _, e := range f.survivors(rng) {
		for _, ch := range e {
			d.apply(ch)
		}
	}
	c.root = d.recover(f.root)
	return c
}

// survivors chooses among the directory operations that are not durable. Those
// that were given up are older than the others that they have to do with.
func (f *FS) survivors(rng *rand.Rand) []entry {
	var kept []entry
	keep := chance(rng)
	for _, e := range f.dropped {
		if keep() {
			kept = append(kept, e)
		}
	}
	if f.opts.Order == Journal {
		return append(kept, f.journal[:rng.IntN(len(f.journal)+1)]...)
	}
	for _, e := range f.journal {
		if keep() {
			kept = append(kept, e)
		}
	}
	return kept
}

// chance returns a biased coin: all, nothing, or something between. The
// extremes are drawn often, since they are what an idle or a busy disk leaves.
func chance(rng *rand.Rand) func() bool {
	p := min(max(rng.Float64()*2-0.5, 0), 1)
	return func() bool { return rng.Float64() < p }
}

type place struct {
	dir  *inode
	name string
}

// recovery is a crash under way.
type recovery struct {
	rng       *rand.Rand
	blockSize int
	to        *FS

	entries map[*inode]map[string]*inode // surviving entries of directories touched so far
	at      map[*inode]place             // where an inode's name is, or was
}

// locate notes the names of everything durable below n.
func (d *recovery) locate(n *inode) {
	for name, child := range n.syncedEntries {
		d.at[child] = place{n, name}
		d.locate(child)
	}
}

func (d *recovery) dir(n *inode) map[string]*inode {
	e, ok := d.entries[n]
	if !ok {
		e = maps.Clone(n.syncedEntries)
		d.entries[n] = e
	}
	return e
}

// apply performs a surviving change. Where a rename before it did not survive,
// the file would be left under two names; it has one, the later.
func (d *recovery) apply(c change) {
	entries := d.dir(c.dir)
	if c.to == nil {
		delete(entries, c.name)
		return
	}
	if was, ok := d.at[c.to]; ok && d.dir(was.dir)[was.name] == c.to {
		delete(d.dir(was.dir), was.name)
	}
	entries[c.name] = c.to
	d.at[c.to] = place{c.dir, c.name}
}

// recover returns what is left of n and of all below it.
func (d *recovery) recover(n *inode) *inode {
	r := &inode{number: n.number, names: 1}
	// A removal that did not survive brings back a file whose number may have
	// been given again.
	if d.to.numbers.used[r.number] {
		r.number = d.to.numbers.take()
	}
	d.to.numbers.used[r.number] = true
	r.now = d.attributes(n)
	if n.isDir() {
		r.makeDir()
		entries := d.dir(n)
		for _, name := range slices.Sorted(maps.Keys(entries)) {
			r.entries[name] = d.recover(entries[name])
		}
		maps.Copy(r.syncedEntries, r.entries)
	} else {
		r.data = d.content(n)
	}
	r.sync(d.blockSize)
	return r
}

func (d *recovery) attributes(n *inode) attributes {
	a := n.synced
	if d.rng.IntN(2) == 0 {
		a.mode = n.now.mode
	}
	if d.rng.IntN(2) == 0 {
		a.uid, a.gid = n.now.uid, n.now.gid
	}
	if d.rng.IntN(2) == 0 {
		a.modTime = n.now.modTime
	}
	return a
}

func (d *recovery) content(n *inode) []byte {
	was, is := n.syncedData, n.data
	if n.cut && d.rng.IntN(2) == 0 {
		was = nil // it is empty on the disk, and what was written later may be there or not
	}
	if bytes.Equal(was, is) {
		return slices.Clone(is)
	}
	low, high := min(len(was), len(is)), max(len(was), len(is))
	size := low + d.rng.IntN(high-low+1)
	switch d.rng.IntN(4) {
	case 0:
		size = len(was)
	case 1:
		size = len(is)
	}
	data := make([]byte, size)
	copy(data, was)
	switch d.rng.IntN(4) {
	case 0:
		copy(data, is)
		return data
	case 1:
		copy(data, is[:d.rng.IntN(len(is)+1)])
		return data
	}
	written := chance(d.rng)
	for at := 0; at < min(size, len(is)); at += d.blockSize {
		if written() {
			copy(data[at:min(at+d.blockSize, size)], is[at:min(at+d.blockSize, len(is))])
		}
	}
	return data
}
