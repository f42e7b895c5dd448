package page

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/machreg/machreg/internal/vfs"
)

// file is the page as a file. A word is written in one call, which the kernels
// that have coherent mappings copy in one piece; a reader that met half of a
// sequence would refresh, no more.
type file struct {
	f  *os.File
	at vfs.Info
}

// openFile opens the page at the path, for writing if that is allowed.
func (p *Page) openFile() (*file, error) {
	at, err := vfs.OS.Lstat(p.path)
	if err != nil {
		return nil, err
	}
	if !isWhole(at) {
		return nil, fmt.Errorf("%q: %w", p.path, errDamaged)
	}
	if err := p.trust(at); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(p.path, os.O_RDWR|openFlags, 0)
	if errors.Is(err, fs.ErrPermission) || isReadOnly(err) {
		f, err = os.OpenFile(p.path, os.O_RDONLY|openFlags, 0)
	}
	if err != nil {
		return nil, err
	}
	w := &file{f: f, at: at}
	if magic, ok := w.load(offMagic); !ok || magic != magicWord {
		f.Close()
		return nil, fmt.Errorf("%q: %w", p.path, errDamaged)
	}
	return w, nil
}

// isGood reports whether the file is the one at the path.
func (w *file) isGood(at vfs.Info) bool { return isWhole(at) && w.at.SameFile(at) }

func (w *file) load(off int) (uint64, bool) {
	var b [8]byte
	_, err := w.f.ReadAt(b[:], int64(off))
	return binary.NativeEndian.Uint64(b[:]), err == nil
}

func (w *file) store(off int, v uint64) bool {
	var b [8]byte
	binary.NativeEndian.PutUint64(b[:], v)
	_, err := w.f.WriteAt(b[:], int64(off))
	return err == nil
}

func (w *file) close() { w.f.Close() }

// retireAt makes the sequence of the damaged page odd, for every process that
// has mapped it while it was whole. An empty file needs nothing, since loads
// from it fault; of one that was cut off further on, the rest of its last page
// can still be loaded. One that is gone meanwhile can no longer be reached.
func retireAt(path string, at vfs.Info) error {
	if !at.Mode.IsRegular() || at.Size == 0 {
		return nil
	}
	f, err := os.OpenFile(path, os.O_WRONLY|openFlags, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	if !(&file{f: f}).store(offSequence, newSequence()|1) {
		return errDamaged
	}
	return nil
}
