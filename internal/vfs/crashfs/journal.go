package crashfs

import "slices"

// change sets one name of a directory; a nil to removes it.
type change struct {
	dir  *inode
	name string
	to   *inode
}

// entry is a creation, rename or removal: changes that survive together.
type entry []change

// changeLocked performs e and remembers it as not yet durable.
func (f *FS) changeLocked(e ...change) {
	for _, c := range e {
		old := c.dir.entries[c.name]
		if c.to == nil {
			delete(c.dir.entries, c.name)
		} else {
			c.dir.entries[c.name] = c.to
			c.to.names++
		}
		if old != nil {
			old.names--
			f.releaseLocked(old)
		}
		c.dir.now.modTime = f.timeLocked()
	}
	f.journal = append(f.journal, e)
}

// takeLocked takes from the journal the entries for dir, and those that must
// not be overtaken by them.
func (f *FS) takeLocked(dir *inode) []entry {
	dirs := map[*inode]bool{dir: true}
	take := make([]bool, len(f.journal))
	reached := false
	// A rename from one directory into another takes with it what was done
	// before in the other one.
	for i := len(f.journal) - 1; i >= 0; i-- {
		for _, c := range f.journal[i] {
			take[i] = take[i] || dirs[c.dir]
		}
		reached = reached || take[i]
		if f.opts.Order == Journal {
			take[i] = reached
		}
		if take[i] {
			for _, c := range f.journal[i] {
				dirs[c.dir] = true
			}
		}
	}
	var taken, rest []entry
	for i, e := range f.journal {
		if take[i] {
			taken = append(taken, e)
		} else {
			rest = append(rest, e)
		}
	}
	f.journal = rest
	return taken
}

// syncDirLocked makes dir durable.
func (f *FS) syncDirLocked(dir *inode) {
	for _, e := range f.takeLocked(dir) {
		for _, c := range e {
			f.supersedeLocked(c)
			if c.to == nil {
				delete(c.dir.syncedEntries, c.name)
			} else {
				c.dir.syncedEntries[c.name] = c.to
			}
		}
	}
	dir.sync(f.opts.BlockSize)
}

// supersedeLocked forgets those changes that were given up and can no longer
// come back: c, which is durable now, came later, and is about the same name or
// the same file.
func (f *FS) supersedeLocked(c change) {
	for i, e := range f.dropped {
		f.dropped[i] = slices.DeleteFunc(slices.Clone(e), func(d change) bool {
			return d.dir == c.dir && d.name == c.name || d.to != nil && d.to == c.to
		})
	}
}
