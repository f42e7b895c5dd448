// Package page is the revision page: one small file beside a registry's lock
// that every process shares. It is two things at once.
//
// It is a signal. Mapped into memory it tells with one atomic load whether a
// newer revision of the registry may exist. It holds a sequence: under the
// registry's exclusive lock a writer makes the sequence odd ([Page.Begin]),
// renames the new file into place, and makes the sequence even again, to a value
// never used before ([Page.End]). A reader that found the same even sequence
// before and after it read the file has validated what it read; as long as the
// sequence stays the same, that is the newest there is:
//
//  1. A write is acknowledged after its End, so from then on every load of the
//     sequence returns something else than before its Begin.
//  2. A reader whose two loads agree on an even value made both before the
//     next writer's Begin, and so read the file before that writer's rename.
//  3. A writer that dies between Begin and End leaves the sequence odd, which
//     validates nothing, until the next writer's End.
//
// It is a record of the newest revision that was published and of the one that is
// being published: their numbers and the checksums of their content ([Record]). By
// it a process tells what a commit wrote from what was put there by hand, a
// restored backup included, and never hands out a revision twice. What was
// published is stored after the rename, so a process that loads it before reading
// the file never finds it ahead of a file that a commit wrote. What is being
// published is stored before the rename: a writer that dies may have renamed it,
// and readers may have seen it. Registries that share a lock have a record each.
//
// Where shared mappings are not coherent, or the platform has none, the page is
// read and written as a file, under the lock; then readers compare stamps.
//
// The page can be lost in every way a file can be, and must never make a
// reader stale or kill a process:
//
//   - It is truncated: the load faults. The fault is caught, and the mapping is
//     from then on without a sequence. If less than a page is cut off, or the
//     content is overwritten, nothing faults: the process that notices a wrong
//     size or magic word retires the page (odd, for ever), which tells every
//     process that has it mapped.
//   - It is deleted or replaced: readers go on with the old mapping. The process
//     that notices retires that too. A writer compares before every rename, and
//     readers when they refresh and on a slow timer ([Page.Check]): the timer
//     bounds staleness if the only writer is one that never mapped the old page.
//   - It is made anew, or an old copy is put back: every sequence is drawn at
//     random, so that a token from another life does not match.
//   - The disk is full: the page is written, not extended, before it is mapped.
//   - It is writable by more users than the lock is: it is not used.
//
// A page is created under the exclusive lock only. A writer that finds no page
// therefore knows that none appears before it is done. Only a page whose absence
// is proved may be passed over; any other failure to bump it is a reason not to
// write.
package page

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/machreg/machreg/internal/vfs"
)

var (
	// ErrUnsupported is a platform or file system without coherent shared
	// mappings.
	ErrUnsupported = errors.New("the revision page is not mapped on this system")
	// ErrAbsent is a page that no writer has made yet.
	ErrAbsent = errors.New("no revision page yet")
	// errDamaged is a page file whose content is no page.
	errDamaged = errors.New("revision page is damaged")
	// errUntrusted is a page that a user can write who cannot take the lock.
	errUntrusted = errors.New("revision page can be written by users who cannot take the lock")
)

// Layout, in the byte order of the machine: a page is never shared between
// machines of different kinds.
const (
	size        = 4096
	magicWord   = 0x32_67_72_68_63_61_6d // "machrg2"
	offMagic    = 0
	offSequence = 8
	// offBoot says since which start of the system the page was written.
	offBoot = 16

	// The records, each of these words.
	offRecords  = 64
	recordSize  = 64
	recordCount = (size - offRecords) / recordSize
	inBinding   = 0
	inPublished = 8  // a revision, and the sum of its content
	inReserved  = 24 // the same
	inDurable   = 40
)

// words is the page as words at offsets that are multiples of 8. A word is
// loaded and stored in one piece.
type words interface {
	load(off int) (v uint64, ok bool)
	store(off int, v uint64) (ok bool)
}

// Page is the place where one registry's page is. Its methods are safe for
// concurrent use, except that Begin, End and Create want the exclusive lock of
// the registry to be held.
type Page struct {
	path    string
	lock    string // the lock file, whose permissions the page takes over
	binding uint64
	unmap   bool // never map it
	// NoOddPhase leaves out the odd phase, which makes the protocol wrong. It
	// is for the tests that show that they would notice.
	NoOddPhase bool

	mu      sync.Mutex
	mapping atomic.Pointer[Mapping] // written under mu
	begun   *file                   // from Begin to End, where there is no mapping; guarded by mu
	state   atomic.Pointer[state]
	had     atomic.Bool // there was a mapping once
}

// state is whether there is a mapping, and since when.
type state struct {
	err   error // nil: there is one
	since time.Time
}

// Suffix ends the name of every page. The lock beside a page has the same name
// with ".lock" instead.
const Suffix = ".page"

// New names the page at path, whose name ends in [Suffix]. binding tells the
// registries apart that share it. Nothing is opened or created.
func New(path string, binding uint64) *Page {
	p := &Page{path: path, lock: strings.TrimSuffix(path, Suffix) + ".lock", binding: binding}
	p.setMapping(nil, ErrAbsent)
	return p
}

// Unmapped is New for a handle that does not map the page: it keeps the page up
// to date as a file.
func Unmapped(path string, binding uint64) *Page {
	p := New(path, binding)
	p.unmap = true
	p.setMapping(nil, ErrUnsupported)
	return p
}

// Path is where the page is.
func (p *Page) Path() string { return p.path }

// Mapping returns the page as mapped now, or nil. It does no I/O.
func (p *Page) Mapping() *Mapping {
	if m := p.mapping.Load(); m != nil && !m.lost.Load() {
		return m
	}
	return nil
}

// State is why there is no Mapping, or nil, and since when that is so: the zero
// time if from the beginning.
func (p *Page) State() (since time.Time, err error) {
	st := p.state.Load()
	if m := p.mapping.Load(); m != nil && m.lost.Load() {
		return st.since, fmt.Errorf("%w: it was truncated", errDamaged)
	}
	return st.since, st.err
}

// Had reports whether there ever was a Mapping.
func (p *Page) Had() bool { return p.had.Load() }

// Repairable reports whether Create might give a mapping where there is none.
func (p *Page) Repairable() bool {
	_, err := p.State()
	return errors.Is(err, ErrAbsent) || errors.Is(err, errDamaged)
}

func (p *Page) setMapping(m *Mapping, why error) {
	if old := p.state.Load(); old == nil {
		p.state.Store(&state{err: why})
	} else if (old.err == nil) != (why == nil) || why != nil && why.Error() != old.err.Error() {
		p.state.Store(&state{err: why, since: time.Now()})
	}
	if old := p.mapping.Swap(m); old != nil && old != m {
		old.dropped.Store(true)
	}
	if why == nil {
		p.had.Store(true)
	}
}

// Check compares the mapping with the file at the path, and maps that one if
// it is another. It creates nothing, and costs one system call if all is well.
func (p *Page) Check() {
	if p.unmap {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	m := p.mapping.Load()
	at, err := vfs.OS.Lstat(p.path)
	if err == nil && m.isGood(at) {
		return
	}
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		m.retire()
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		m, err = nil, ErrAbsent
	case err != nil:
		m = nil
	default:
		m, err = p.open(at)
	}
	p.setMapping(m, err)
}

// open maps the page that Lstat found to be at the path.
func (p *Page) open(at vfs.Info) (*Mapping, error) {
	if err := supported(filepath.Dir(p.path)); err != nil {
		return nil, err
	}
	if !isWhole(at) {
		return nil, fmt.Errorf("%q: %w", p.path, errDamaged)
	}
	if err := p.trust(at); err != nil {
		return nil, err
	}
	m, err := mapAt(p.path)
	if err == nil && !m.isPage() {
		return nil, fmt.Errorf("%q: %w", p.path, errDamaged)
	}
	return m, err
}

func isWhole(at vfs.Info) bool { return at.Mode.IsRegular() && at.Size >= size }

// look has fn see the page, if there is one.
func (p *Page) look(fn func(words)) error {
	if m := p.Mapping(); m != nil {
		fn(m)
		return nil
	}
	f, err := p.openFile()
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, errDamaged) || errors.Is(err, errUntrusted) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("revision page: %w", err)
	}
	defer f.close()
	fn(f)
	return nil
}

// Create makes the page if there is none, and maps it. The caller holds the
// exclusive lock.
func (p *Page) Create() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	w, err := p.ensureLocked()
	if f, ok := w.(*file); ok {
		f.close()
	}
	return err
}

// maxVanished bounds how often in a row the page may be deleted, or truncated,
// under a writer that has just made it.
const maxVanished = 10

// Begin makes the sequence odd: from now on no reader trusts what it has
// validated. The caller holds the exclusive lock and is about to rename revision
// next into place, which is reserved. A page
// that is missing is made; if it cannot be, no reader has one. An error means
// that readers might be left behind, so that the rename must not happen.
func (p *Page) Begin(next Revision) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for n := range maxVanished {
		w, err := p.ensureLocked()
		if errors.Is(err, fs.ErrNotExist) && n < maxVanished-1 && p.isAbsent() {
			continue // deleted as soon as it was made
		}
		if w == nil || err != nil {
			return err
		}
		if f, ok := w.(*file); ok {
			p.begun = f
		}
		if p.NoOddPhase {
			return nil
		}
		at := p.slot(w)
		if !storeRevision(w, at+inReserved, next) || !w.store(at+inBinding, p.word()) {
			p.endFileLocked()
			continue
		}
		if s, ok := w.load(offSequence); ok && s%2 == 1 || ok && w.store(offSequence, s+1) {
			return nil
		}
		// Truncated just now: the second round makes a new one.
		p.endFileLocked()
	}
	return fmt.Errorf("revision page %q: %w", p.path, errDamaged)
}

func (p *Page) endFileLocked() {
	if p.begun != nil {
		p.begun.close()
		p.begun = nil
	}
}

// End makes the sequence even, and records that the reserved revision was
// published or, if none was, that it is free again. It follows every successful
// Begin, also when the rename failed. It returns what validates the published
// revision: nil if there is no mapping for that.
func (p *Page) End(o Outcome) (m *Mapping, sequence uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	defer p.endFileLocked()
	m = p.mapping.Load()
	var w words
	switch {
	case p.begun != nil:
		w, m = p.begun, nil
	case m != nil:
		w = m
	default:
		return nil, 0
	}
	// A page that is no longer at the path stays odd, since the next writer
	// may not have it. One that is truncated needs no bump: a load from it
	// faults, and the reader does without.
	now, err := vfs.OS.Lstat(p.path)
	if err != nil || m != nil && !m.isGood(now) || m == nil && !p.begun.isGood(now) {
		return nil, 0
	}
	at := p.slot(w)
	from, to := at+inReserved, at+inPublished
	if o == NotPublished {
		from, to = to, from
	}
	if !storeRevision(w, to, loadRevision(w, from)) || o == Published && !w.store(offBoot, thisBoot()) {
		return nil, 0
	}
	sequence = newSequence()
	if !w.store(offSequence, sequence) {
		return nil, 0
	}
	return m, sequence
}

// Abandon is End for a page that was left odd, if the reserved revision is not
// the file that was found: it may have been seen, so that it stays reserved.
func (p *Page) Abandon() {
	p.mu.Lock()
	defer p.mu.Unlock()
	defer p.endFileLocked()
	if m := p.mapping.Load(); m != nil {
		m.store(offSequence, newSequence())
	} else if p.begun != nil {
		p.begun.store(offSequence, newSequence())
	}
}

// Outcome tells whether a rename happened.
type Outcome uint8

const (
	Published Outcome = iota
	NotPublished
)

// newSequence draws an even sequence that was never used before.
func newSequence() uint64 { return rand.Uint64() &^ 1 }

// ensureLocked returns the page at the path for writing, mapped if that can be.
// It makes one if there is none, or a damaged one. Neither page nor error means
// that there is none, and that none could be made.
func (p *Page) ensureLocked() (words, error) {
	m := p.mapping.Load()
	at, err := vfs.OS.Lstat(p.path)
	if err == nil && m.isGood(at) && m.writable {
		return m, nil
	}
	if m != nil {
		m.retire()
		p.setMapping(nil, ErrAbsent)
	}
	retired := false
	if err == nil {
		w, err := p.openForWriting(at)
		retired = errors.Is(err, errDamaged)
		if !retired && !errors.Is(err, errUntrusted) {
			return w, err
		}
		// A reader may have mapped it before it was damaged.
		if err := retireAt(p.path, at); err != nil {
			return nil, fmt.Errorf("revision page %q: %w", p.path, err)
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		p.setMapping(nil, err)
		return nil, fmt.Errorf("revision page: %w", err)
	}
	if err := p.create(); err != nil {
		p.setMapping(nil, err)
		if errors.Is(err, fs.ErrNotExist) || !retired && !p.isAbsent() {
			return nil, fmt.Errorf("revision page: %w", err)
		}
		return nil, nil
	}
	if at, err = vfs.OS.Lstat(p.path); err != nil {
		return nil, fmt.Errorf("revision page: %w", err)
	}
	return p.openForWriting(at)
}

// isAbsent reports whether it is certain that there is no page: its directory
// can be looked into, and it is not there.
func (p *Page) isAbsent() bool {
	_, err := vfs.OS.Lstat(p.path)
	_, derr := vfs.OS.Stat(filepath.Dir(p.path))
	return errors.Is(err, fs.ErrNotExist) && derr == nil
}

// openForWriting opens the page that Lstat found to be at the path.
func (p *Page) openForWriting(at vfs.Info) (words, error) {
	if !p.unmap {
		m, err := p.open(at)
		if err == nil && !m.writable {
			err = fmt.Errorf("%q cannot be written (%w): give this user write permission to it", p.path, fs.ErrPermission)
			p.setMapping(nil, err)
			return nil, fmt.Errorf("revision page: %w", err)
		}
		p.setMapping(m, err)
		if err == nil {
			return m, nil
		}
		if !errors.Is(err, ErrUnsupported) {
			return nil, fmt.Errorf("revision page: %w", err)
		}
	}
	f, err := p.openFile()
	if err != nil {
		return nil, fmt.Errorf("revision page: %w", err)
	}
	return f, nil
}
