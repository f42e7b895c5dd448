package faults_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"

	"github.com/machreg/machreg/internal/vfs/crashfs"
	"github.com/machreg/machreg/internal/vfs/errorfs"
	"github.com/machreg/machreg/registry"
)

// version is what the file was for a while.
type version struct {
	data     []byte // nil: there was no file
	names    names
	revision registry.Revision // 0 if it claims none
	readable bool
}

// contentOf is nil if there is no file.
func contentOf(disk *crashfs.FS, path string) ([]byte, error) {
	data, err := disk.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, err
	case data == nil:
		data = []byte{}
	}
	return data, nil
}

// readVersion reads a file in any form, with nothing but the standard library.
func readVersion(data []byte) version {
	v := version{data: data, names: names{}, readable: true}
	if data == nil {
		return v
	}
	var raw struct {
		Revision uint64                      `json:"revision"`
		Machines map[string]registry.Machine `json:"machines"`
	}
	if err := json.Unmarshal(data, &raw); err != nil {
		return version{data: data}
	}
	v.revision = registry.Revision(raw.Revision)
	for name, m := range raw.Machines {
		if err := v.names.add(name, m); err != nil {
			return version{data: data}
		}
	}
	return v
}

// history is every version that the file has been, and what of it must survive
// a loss of power:
//
//  1. What is found is one of the versions, byte for byte.
//  2. It is not older than what a process with SyncFull has acknowledged. So of
//     what is lost, all that came later is lost too.
//  3. While the newest unsynced version from outside is not covered by such an
//     acknowledgement, anything may be found.
type history struct {
	mu       sync.Mutex // guards all below
	versions []version
	from     int // the oldest version that must survive
	outside  int // the newest that was written from outside and not synced; -1 for none
	edits    int // versions from outside, synced or not
	// handedOut is the highest revision that a caller was told.
	handedOut registry.Revision
	pages     []pageCopy
}

// begin forgets all but what is there now, which is durable.
func (m *machine) begin() {
	m.observe()
	m.history.mu.Lock()
	defer m.history.mu.Unlock()
	m.versions = m.versions[len(m.versions)-1:]
	m.from, m.outside, m.edits, m.pages = 0, -1, 0, nil
}

// observe returns the number of the present version.
func (m *machine) observe() int {
	data, err := contentOf(m.disk, m.path)
	if err != nil {
		data = nil
	}
	m.history.mu.Lock()
	defer m.history.mu.Unlock()
	last := len(m.versions) - 1
	if last >= 0 && bytes.Equal(m.versions[last].data, data) && (m.versions[last].data == nil) == (data == nil) {
		return last
	}
	m.versions = append(m.versions, readVersion(data))
	return last + 1
}

func (m *machine) version(n int) version {
	m.history.mu.Lock()
	defer m.history.mu.Unlock()
	return m.versions[n]
}

// written notes a version from outside, the same text again included.
func (m *machine) written(text []byte, durably bool) {
	m.history.mu.Lock()
	defer m.history.mu.Unlock()
	m.edits++
	m.versions = append(m.versions, readVersion(text))
	if durably {
		m.from = len(m.versions) - 1
	} else {
		m.outside = len(m.versions) - 1
	}
}

// answered notes that a write which began at version from was answered with
// rev. A write that changed nothing is answered with the revision that it found;
// one that fails because the power has gone is not answered.
func (m *machine) answered(from int, rev registry.Revision, err error, durably bool) {
	m.history.mu.Lock()
	defer m.history.mu.Unlock()
	if err == nil || m.loss != nil && m.loss.Fired() == 0 && !errors.Is(err, errorfs.ErrPowerLoss) {
		m.handedOut = max(m.handedOut, rev)
	}
	if !durably {
		return
	}
	for i := len(m.versions) - 1; i > from; i-- {
		if m.versions[i].readable && m.versions[i].revision == rev {
			from = i
			break
		}
	}
	m.from = max(m.from, from)
}

// errTorn is a file that never was at the path.
var errTorn = errors.New("not a version that there was")

// survived judges what a crash left at the path.
func (m *machine) survived(data []byte) error {
	m.history.mu.Lock()
	defer m.history.mu.Unlock()
	found := readVersion(data)
	if m.outside > m.from {
		if found.readable {
			return m.possible(found.names)
		}
		return nil
	}
	for i := len(m.versions) - 1; i >= 0; i-- {
		v := m.versions[i]
		switch {
		case !bytes.Equal(v.data, data) || (v.data == nil) != (data == nil):
		case i < m.from:
			return fmt.Errorf("%w: version %d of %d is back, with %v at revision %d; %d was acknowledged, with %v at revision %d",
				errLost, i, len(m.versions), v.names, v.revision, m.from, m.versions[m.from].names, m.versions[m.from].revision)
		default:
			return m.judge(v.names)
		}
	}
	if data == nil {
		return fmt.Errorf("%w: the file is missing, version %d was acknowledged", errLost, m.from)
	}
	return fmt.Errorf("%w: it is none of %d: %.300q", errTorn, len(m.versions), data)
}

const pageName = "machines.json.page"

// pageCopy is the page as it was at some moment, and the highest revision that
// had been handed out by then.
type pageCopy struct {
	data      []byte // nil: there was none
	mode      fs.FileMode
	handedOut registry.Revision
}

// copyPage remembers the page as it is now.
func (m *machine) copyPage() {
	m.history.mu.Lock()
	defer m.history.mu.Unlock()
	c := pageCopy{handedOut: m.handedOut}
	path := filepath.Join(m.lockDir, pageName)
	if info, err := os.Stat(path); err == nil {
		c.mode = info.Mode()
		c.data, _ = os.ReadFile(path)
	}
	m.pages = append(m.pages, c)
}

// odd reports whether a page was copied while a writer was at work.
func (c pageCopy) odd() bool {
	const sequence = 16 // its place in the page, low byte first
	return len(c.data) > sequence && c.data[sequence]%2 == 1
}

// crashLocks leaves in the lock directory what a loss of power may leave, since
// nothing in it is ever synced: what was there, nothing, or something older; of
// the page also a part. It returns the highest revision that the page still
// knows to have been handed out.
func (m *machine) crashLocks(rng *rand.Rand) (registry.Revision, error) {
	if err := os.RemoveAll(m.lockDir); err != nil {
		return 0, err
	}
	how := rng.IntN(8)
	if how == 0 {
		return 0, nil // lost as a whole
	}
	if err := os.Mkdir(m.lockDir, 0o755); err != nil || how == 1 {
		return 0, err
	}
	for _, name := range []string{"machines.json.lock", "machines.json.lock.queue", "machines.json.lock.holder"} {
		if rng.IntN(4) > 0 {
			continue
		}
		text := []string{"", "1 nohost 2006-01-02T15:04:05Z nothing\n", "\x00\x00\x00"}[rng.IntN(3)]
		if err := os.WriteFile(filepath.Join(m.lockDir, name), []byte(text), 0o644); err != nil {
			return 0, err
		}
	}
	page := m.pages[len(m.pages)-1]
	if how >= 5 {
		page = m.pages[rng.IntN(len(m.pages))]
	}
	if page.data == nil {
		return 0, nil
	}
	data, known := page.data, page.handedOut
	if how == 7 { // made a moment ago, and not on the disk in full
		data = bytes.Clone(data)
		clear(data[rng.IntN(2)*len(data)/2:])
		data, known = data[:rng.IntN(3)*len(data)/2], 0
	}
	if !mended && (page.odd() || m.edits > 0) {
		known = 0
	}
	path := filepath.Join(m.lockDir, pageName)
	if err := os.WriteFile(path, data, 0o644); err != nil {
		return 0, err
	}
	return known, os.Chmod(path, page.mode)
}
