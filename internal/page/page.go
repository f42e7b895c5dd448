// Package page is the revision page: one small file beside a registry's lock,
// mapped by every process, that tells with one atomic load whether a newer
// revision of the registry may exist.
//
// The page holds a sequence counter. Under the registry's exclusive lock a
// writer makes the sequence odd ([Page.Begin]), renames the new file into
// place, and makes the sequence even again, to a value never used before
// ([Page.End]). A reader that found the same even sequence before and after it
// read the file has validated what it read; as long as the sequence stays the
// same, that is the newest there is:
//
//  1. A write is acknowledged after its End, so from then on every load of the
//     sequence returns something else than before its Begin.
//  2. A reader whose two loads agree on an even value made both before the
//     next writer's Begin, and so read the file before that writer's rename.
//  3. A writer that dies between Begin and End leaves the sequence odd, which
//     validates nothing, until the next writer's End.
//
// The page can be lost in every way a file can be, and must never make a
// reader stale or kill a process:
//
//   - It is truncated: the load faults. The fault is caught, and the mapping is
//     from then on without a sequence. If less than a page is cut off, or the
//     content is overwritten, nothing faults: whoever notices that the size or
//     the magic word is wrong retires the page (odd, for ever), which tells
//     everybody else who has it.
//   - It is deleted or replaced: readers go on with the old mapping. Whoever
//     notices retires that too. A writer compares before every rename, and
//     readers when they refresh and on a slow timer ([Page.Check]): the timer is
//     what bounds staleness if the only writer is one that never mapped the old
//     page.
//   - It is made anew, or an old copy is put back: every sequence is drawn at
//     random, so that a token from another life does not match.
//   - The disk is full: the page is written, not extended, before it is mapped.
//
// A page says which registry it is bound to. A process that finds another
// registry's page does without, but bumps it when it writes: the two share the
// lock, and which registry is at a path can change while processes run.
//
// A page is created under the exclusive lock only. A writer that finds no page
// therefore knows that none appears before it is done; a writer that finds one
// and cannot bump it must not write.
//
// Pages are used on Linux, macOS and FreeBSD, on file systems known to be
// local; elsewhere [ErrUnsupported] says why, and readers compare stamps.
package page

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"
)

var (
	// ErrUnsupported is a platform or file system without coherent shared
	// mappings.
	ErrUnsupported = errors.New("no revision page on this system")
	// ErrForeign is a page that belongs to another registry.
	ErrForeign = errors.New("revision page belongs to another registry")
	// ErrAbsent is a page that nobody has made yet.
	ErrAbsent = errors.New("no revision page yet")
	// errDamaged is a page file whose content is no page.
	errDamaged = errors.New("revision page is damaged")
)

// Layout, in the byte order of the machine: a page is never shared between
// machines.
const (
	size        = 4096
	magicWord   = 0x31_67_72_68_63_61_6d // "machrg1"
	offMagic    = 0
	offBinding  = 8
	offSequence = 16
	offRevision = 24
)

// Page is the place where one registry's page is. Its methods are safe for
// concurrent use, except that Begin, End and Create want the exclusive lock of
// the registry to be held.
type Page struct {
	path    string
	binding uint64
	// NoOddPhase leaves out the odd phase, which makes the protocol wrong. It
	// is for the tests that show that they would notice.
	NoOddPhase bool

	mu      sync.Mutex
	mapping atomic.Pointer[Mapping] // written under mu; also a foreign one
	state   atomic.Pointer[state]
	had     atomic.Bool // there was a mapping once
}

// state is whether there is a mapping, and since when.
type state struct {
	err   error // nil: there is one
	since time.Time
}

// New names the page at path. binding says which registry it belongs to; a
// page made with another binding is not used. Nothing is opened or created.
func New(path string, binding uint64) *Page {
	p := &Page{path: path, binding: binding}
	p.setMapping(nil, ErrAbsent)
	return p
}

// Path is where the page is.
func (p *Page) Path() string { return p.path }

// Mapping returns the page as mapped now, or nil. It does no I/O.
func (p *Page) Mapping() *Mapping {
	if m := p.mapping.Load(); m != nil && !m.lost.Load() && !m.foreign {
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
	if m != nil && m.foreign {
		why = fmt.Errorf("%q: %w", p.path, ErrForeign)
	}
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
	p.mu.Lock()
	defer p.mu.Unlock()
	p.checkLocked()
}

func (p *Page) checkLocked() {
	m := p.mapping.Load()
	at, err := lookAt(p.path)
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
		m, err = openAt(p.path, at, p.binding)
	}
	p.setMapping(m, err)
}

// Create makes the page if there is none, and maps it. The caller holds the
// exclusive lock.
func (p *Page) Create() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.ensureLocked(true); err != nil {
		return err
	}
	_, err := p.State()
	return err
}

// Begin makes the sequence odd: from now on no reader trusts what it has
// validated. The caller holds the exclusive lock and is about to rename. With
// create, a page that is missing is made; where none can be made for want of
// support, there is no reader to tell, and Begin does nothing. An error means
// that readers might be left behind, so that the rename must not happen.
func (p *Page) Begin(create bool) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for range 2 {
		if err := p.ensureLocked(create); err != nil {
			return err
		}
		m := p.mapping.Load()
		if m == nil || p.NoOddPhase {
			return nil
		}
		if s := m.Sequence(); s%2 == 1 && !m.lost.Load() || m.store(offSequence, s+1) {
			return nil
		}
		// Truncated just now: the second round makes a new one.
	}
	return fmt.Errorf("revision page %q: %w", p.path, errDamaged)
}

// End stores the revision that was published and makes the sequence even. It
// follows every successful Begin, also when the rename failed. It returns what
// validates the published revision: nil if there is no page for that.
func (p *Page) End(revision uint64) (m *Mapping, sequence uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	m = p.mapping.Load()
	if m == nil {
		return nil, 0
	}
	// A page that is no longer at the path stays odd, since the next writer
	// may not have it. One that is truncated needs no bump: whoever loads it
	// faults, and does without.
	if at, err := lookAt(p.path); err != nil || !m.isGood(at) {
		return nil, 0
	}
	if !m.foreign && !m.store(offRevision, revision) {
		return nil, 0
	}
	sequence = newSequence()
	if !m.store(offSequence, sequence) || m.foreign {
		return nil, 0
	}
	return m, sequence
}

// newSequence draws an even sequence that was never used before.
func newSequence() uint64 { return rand.Uint64() &^ 1 }

// ensureLocked makes the mapping be the file at the path, making that file if
// it is missing or damaged. After nil there may still be no mapping, because
// nobody can have one.
func (p *Page) ensureLocked(make bool) error {
	m := p.mapping.Load()
	at, err := lookAt(p.path)
	if err == nil && m.isGood(at) && m.writable {
		return nil
	}
	if m != nil {
		m.retire()
		p.setMapping(nil, ErrAbsent)
	}
	if err == nil {
		m, err = openAt(p.path, at, p.binding)
		if err == nil && !m.writable {
			err = fmt.Errorf("%q cannot be written (%w): give this user write permission to it", p.path, fs.ErrPermission)
		}
	}
	switch {
	case err == nil:
		p.setMapping(m, nil)
		return nil
	case errors.Is(err, ErrUnsupported):
		p.setMapping(nil, err)
		return nil
	case errors.Is(err, errDamaged):
		// Somebody may have mapped it before it was damaged.
		if err := retireAt(p.path, at); err != nil {
			return fmt.Errorf("revision page %q: %w", p.path, err)
		}
		make = true
	case !errors.Is(err, fs.ErrNotExist):
		p.setMapping(nil, err)
		return fmt.Errorf("revision page: %w", err)
	}
	if !make {
		p.setMapping(nil, ErrAbsent)
		return nil
	}
	if err := create(p.path, p.binding); err != nil {
		// No page at the path, or one that is retired: nobody validates
		// against it, so this write may go on without.
		p.setMapping(nil, err)
		return nil
	}
	if at, err = lookAt(p.path); err == nil {
		m, err = openAt(p.path, at, p.binding)
	}
	if errors.Is(err, fs.ErrNotExist) {
		m, err = nil, ErrAbsent // deleted again
	}
	p.setMapping(m, err)
	if err != nil && !errors.Is(err, ErrUnsupported) && !errors.Is(err, ErrAbsent) {
		return fmt.Errorf("revision page: %w", err)
	}
	return nil
}

// create puts a new page at path.
func create(path string, binding uint64) error {
	dir := filepath.Dir(path)
	if err := supported(dir); err != nil {
		return err
	}
	temp, err := os.CreateTemp(dir, filepath.Base(path)+".*.tmp")
	if err != nil {
		return err
	}
	defer os.Remove(temp.Name()) // fails once it is renamed
	// Written in full: a hole would fault on a full disk.
	var content [size]byte
	put := func(off int, v uint64) { *(*uint64)(unsafe.Pointer(&content[off])) = v }
	put(offMagic, magicWord)
	put(offBinding, binding)
	put(offSequence, newSequence())
	_, err = temp.Write(content[:])
	if err == nil {
		err = shareLikeDir(temp, dir)
	}
	if cerr := temp.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(temp.Name(), path)
	}
	return err
}

// shareLikeDir lets everybody who may create files in dir write the file:
// they can take the lock, so they must be able to bump the page.
func shareLikeDir(f *os.File, dir string) error {
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	return f.Chmod(0o444 | info.Mode().Perm()&0o222)
}
