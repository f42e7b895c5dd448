// Package wholefile writes files that are of use only as a whole: reports,
// pages, plots, drafts. Whatever interrupts a write, a full disk or a kill, the
// file is the old one or the new one; a kill may leave a temporary file beside
// it, whose name begins with a dot. A symbolic link stays, and what it leads to
// is replaced. What is no regular file, a pipe or a terminal, is written to.
package wholefile

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// pending is a file that takes the place of another, or goes away.
type pending interface {
	io.Writer
	CloseAtomicallyReplace() error
	Cleanup() error // does nothing after a CloseAtomicallyReplace that succeeded
}

// Write makes a file out of what write writes, or leaves it alone if write
// fails. An existing file keeps its permissions.
func Write(path string, write func(io.Writer) error) (err error) {
	f, err := create(path)
	if err != nil {
		return err
	}
	if err := write(f); err != nil {
		return errors.Join(err, f.Cleanup())
	}
	if err := f.CloseAtomicallyReplace(); err != nil {
		return errors.Join(err, f.Cleanup())
	}
	return nil
}

// Probe returns the error that a Write would begin with.
func Probe(path string) error {
	f, err := create(path)
	if err != nil {
		return err
	}
	return f.Cleanup()
}

const newPerm = 0o666 // less the umask

func create(path string) (pending, error) {
	switch _, err := os.Lstat(path); {
	case errors.Is(err, fs.ErrNotExist):
		return named(path)
	case err != nil:
		return nil, err
	}
	target, err := filepath.EvalSymlinks(path)
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(target)
	switch {
	case err != nil:
		return nil, err
	case info.Mode().IsRegular():
		return named(target)
	}
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return nil, err
	}
	return stream{f}, nil
}

// named is replace with an error that names the file, not the temporary one.
func named(path string) (pending, error) {
	f, err := replace(path)
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		err = &fs.PathError{Op: "create", Path: path, Err: pe.Err}
	}
	return f, err
}

// stream is a device or a pipe: it is written to, and cannot be replaced.
type stream struct{ *os.File }

func (s stream) CloseAtomicallyReplace() error { return s.Close() }
func (s stream) Cleanup() error                { return s.Close() }
