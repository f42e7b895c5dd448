package snapshot

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
)

// tryBytes is what TryWrite writes: a block, which a full disk does not have.
const tryBytes = 4096

// TryWrite does what Prepare and Publish do, but under another name than the
// file's: it makes a temporary file, fills a block of it, renames it to a second
// temporary name beside the file, and removes that. The error is the one that a
// write would meet. If the process dies meanwhile, a later writer sweeps what is
// left. Where another handle may write at the same time, its sweep is no failure.
func (f *File[V]) TryWrite() error {
	for {
		err := f.tryWrite()
		if !isOtherDevice(err) || f.elsewhere.Swap(true) {
			return err
		}
	}
}

func (f *File[V]) tryWrite() (err error) {
	temp, err := f.createTemp(0o600)
	if err != nil {
		return fmt.Errorf("create a file: %w", err)
	}
	name := temp.Name()
	defer func() {
		temp.Close()
		if rerr := f.fs.Remove(name); rerr != nil && !errors.Is(rerr, fs.ErrNotExist) {
			err = errors.Join(err, fmt.Errorf("remove temporary file: %w", rerr))
		}
	}()
	if _, err := temp.Write(make([]byte, tryBytes)); err != nil {
		return fmt.Errorf("write a file: %w", err)
	}
	beside := filepath.Join(f.dir, f.tempName())
	err = f.fs.Rename(name, beside)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // swept
	}
	if err != nil {
		return fmt.Errorf("rename a file: %w", err)
	}
	name = beside
	return nil
}
