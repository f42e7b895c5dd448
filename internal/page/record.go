package page

// Revision is a revision, and the checksum of its content. The zero value is
// none.
type Revision struct {
	Number uint64
	Sum    uint32
}

// Record holds the revisions that the page knows of one registry.
type Record struct {
	// Published is the newest revision that was published. It is stored after
	// the rename.
	Published Revision
	// Reserved is the revision that a writer is publishing, or was when it died:
	// its file may have been seen. Otherwise it is Published. It is stored before
	// the rename.
	Reserved Revision
	// Durable names the version of the file that is on disk; see [Page.SetDurable].
	Durable uint64
	// Old is set if the page was written before the system was started: what was
	// published since may have reached the disk without it.
	Old bool
}

// Record returns what is known of the registry. Without a page it is zero.
// Where the page is mapped it does no I/O.
func (p *Page) Record() (r Record, err error) {
	err = p.look(func(w words) {
		at := p.recordIn(w)
		if at < 0 {
			return
		}
		// The number first, in the order opposite to that of the writers: it is
		// never paired with the sum of one before it.
		r.Published = loadRevision(w, at+inPublished)
		r.Reserved = loadRevision(w, at+inReserved)
		r.Durable, _ = w.load(at + inDurable)
		boot, _ := w.load(offBoot)
		r.Old = boot != thisBoot()
	})
	return r, err
}

func loadRevision(w words, at int) (r Revision) {
	r.Number, _ = w.load(at)
	sum, _ := w.load(at + 8)
	r.Sum = uint32(sum)
	return r
}

func storeRevision(w words, at int, r Revision) bool {
	return w.store(at+8, uint64(r.Sum)) && w.store(at, r.Number)
}

// SetDurable notes that a version of the file, which the caller names by a
// number, is on disk with its name. It needs no lock: a note that comes late only
// costs another process a sync.
func (p *Page) SetDurable(version uint64) {
	p.look(func(w words) {
		if at := p.recordIn(w); at >= 0 {
			w.store(at+inDurable, version)
		}
	})
}

// recordIn is where this registry's record is, or -1.
func (p *Page) recordIn(w words) int {
	for i := range recordCount {
		at := offRecords + i*recordSize
		switch b, ok := w.load(at + inBinding); {
		case !ok || b == 0:
			return -1
		case b == p.word():
			return at
		}
	}
	return -1
}

// word is the binding as it is stored: 0 marks a record that is free.
func (p *Page) word() uint64 { return max(p.binding, 1) }

// slot is where this registry's record is, or is to be. With none free the last
// is given up: then that registry's revisions are known by its file alone.
func (p *Page) slot(w words) int {
	at := p.recordIn(w)
	if at >= 0 {
		return at
	}
	i := 0
	for ; i < recordCount-1; i++ {
		if b, ok := w.load(offRecords + i*recordSize + inBinding); !ok || b == 0 {
			break
		}
	}
	at = offRecords + i*recordSize
	storeRevision(w, at+inPublished, Revision{})
	w.store(at+inDurable, 0)
	return at
}
