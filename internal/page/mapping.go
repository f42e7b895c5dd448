package page

import (
	"runtime"
	"runtime/debug"
	"sync/atomic"

	"github.com/machreg/machreg/internal/vfs"
)

// Mapping is one page file as mapped into this process. It stays mapped as
// long as anybody refers to it, so no reader can lose it in mid-load.
type Mapping struct {
	words    *[size / 8]uint64
	at       vfs.Info
	writable bool
	// lost is set when an access faulted: the file is shorter than the page.
	lost atomic.Bool
	// dropped is set when this process found that it must use another mapping,
	// or none. What this one validated does not count any more.
	dropped atomic.Bool
}

// isGood reports whether m maps the file that is at the path, and that file is
// a page. m may be nil, which is not good.
func (m *Mapping) isGood(at vfs.Info) bool {
	return m != nil && isWhole(at) && m.at.SameFile(at) && m.isPage()
}

func (m *Mapping) isPage() bool {
	magic, ok := m.load(offMagic)
	return ok && magic == magicWord
}

// Sequence returns the sequence: odd while a writer is at work, or after one
// died at it. It returns 1, which validates nothing, if the page is lost or no
// longer the one in use. It does not block, allocate or fault.
func (m *Mapping) Sequence() uint64 {
	s, ok := m.load(offSequence)
	if !ok || m.dropped.Load() {
		return 1
	}
	return s
}

// load reads one word. A fault is turned into a panic by the runtime, for this
// goroutine alone, and the panic into lost.
func (m *Mapping) load(off int) (v uint64, ok bool) {
	if m.lost.Load() {
		return 0, false
	}
	old := debug.SetPanicOnFault(true)
	defer func() {
		debug.SetPanicOnFault(old)
		if !ok { // recover costs as much as the rest of the guard
			m.lose(recover())
		}
		runtime.KeepAlive(m)
	}()
	v = loadWord(&m.words[off/8])
	return v, true
}

func (m *Mapping) store(off int, v uint64) (ok bool) {
	if m.lost.Load() {
		return false
	}
	old := debug.SetPanicOnFault(true)
	defer func() {
		debug.SetPanicOnFault(old)
		if !ok {
			m.lose(recover())
		}
		runtime.KeepAlive(m)
	}()
	storeWord(&m.words[off/8], v)
	return true
}

// lose notes the panic of an access that faulted. Any other is passed on. A
// fault without an address looks like a nil pointer to the runtime; an emulator
// reports none.
func (m *Mapping) lose(fault any) {
	if _, ok := fault.(runtime.Error); !ok {
		panic(fault)
	}
	m.lost.Store(true)
}

// retire makes the sequence odd: the file is no longer at the path, so no
// writer will make it even again. It needs no lock. If it falls into the odd
// phase of a writer it changes nothing, and if that writer's End comes between
// its two steps, or the file is put back, a good page is odd until the next
// End: sequences are random, so what was validated before stays refused.
//
// It reports false if it could not, and somebody may go on validating.
func (m *Mapping) retire() bool {
	if m == nil || !m.writable {
		return false
	}
	s, ok := m.load(offSequence)
	return ok && m.store(offSequence, s|1)
}
