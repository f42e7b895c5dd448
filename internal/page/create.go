package page

import (
	"os"
	"path/filepath"
	"strings"
	"unsafe"

	"github.com/machreg/machreg/internal/vfs"
)

// create puts a new page at the path.
func (p *Page) create() error {
	dir := filepath.Dir(p.path)
	temp, err := os.CreateTemp(dir, filepath.Base(p.path)+".*"+tempSuffix)
	if err != nil {
		return err
	}
	defer os.Remove(temp.Name()) // fails once it is renamed
	// Written in full: a hole would fault on a full disk.
	var content [size]byte
	put := func(off int, v uint64) { *(*uint64)(unsafe.Pointer(&content[off])) = v }
	put(offMagic, magicWord)
	put(offSequence, newSequence())
	_, err = temp.Write(content[:])
	if err == nil {
		err = p.shareLikeLock(temp)
	}
	if cerr := temp.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(temp.Name(), p.path)
	}
	return err
}

const tempSuffix = ".tmp"

// Sweep removes what a process left that died while it made a page. The caller
// holds the exclusive lock.
func (p *Page) Sweep() {
	dir, prefix := filepath.Dir(p.path), filepath.Base(p.path)+"."
	names, err := vfs.OS.ReadNames(dir)
	if err != nil {
		return
	}
	for _, name := range names {
		if strings.HasPrefix(name, prefix) && strings.HasSuffix(name, tempSuffix) {
			os.Remove(filepath.Join(dir, name))
		}
	}
}
