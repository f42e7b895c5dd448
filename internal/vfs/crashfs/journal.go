package crashfs

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

// syncDirLocked makes the journal's entries for dir durable, and those that
// must not be overtaken by them.
func (f *FS) syncDirLocked(dir *inode) {
	dirs := map[*inode]bool{dir: true}
	keep := make([]bool, len(f.journal))
	reached := false
	// A rename from one directory into another takes with it what was done
	// before in the other one.
	for i := len(f.journal) - 1; i >= 0; i-- {
		for _, c := range f.journal[i] {
			keep[i] = keep[i] || dirs[c.dir]
		}
		reached = reached || keep[i]
		if f.opts.Order == Journal {
			keep[i] = reached
		}
		if keep[i] {
			for _, c := range f.journal[i] {
				dirs[c.dir] = true
			}
		}
	}
	var rest []entry
	for i, e := range f.journal {
		if !keep[i] {
			rest = append(rest, e)
			continue
		}
		for _, c := range e {
			if c.to == nil {
				delete(c.dir.syncedEntries, c.name)
			} else {
				c.dir.syncedEntries[c.name] = c.to
			}
		}
	}
	f.journal = rest
}
