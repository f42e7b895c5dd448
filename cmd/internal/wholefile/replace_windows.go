package wholefile

import (
	"errors"
	"os"
	"path/filepath"
)

// replace does what renameio, which offers nothing on Windows, does elsewhere.
func replace(path string) (pending, error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path))
	if err != nil {
		return nil, err
	}
	return &temporary{File: f, path: path}, nil
}

type temporary struct {
	*os.File
	path     string
	replaced bool
}

func (f *temporary) CloseAtomicallyReplace() error {
	err := errors.Join(f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), f.path)
	}
	f.replaced = err == nil
	return err
}

func (f *temporary) Cleanup() error {
	if f.replaced {
		return nil
	}
	f.Close() // it may be closed
	return os.Remove(f.Name())
}
