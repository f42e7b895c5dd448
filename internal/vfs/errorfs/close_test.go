package errorfs_test

import (
	"errors"
	"io/fs"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/machreg/machreg/internal/vfs"
	"github.com/machreg/machreg/internal/vfs/errorfs"
)

// countingFile tells whether it was closed.
type countingFile struct {
	vfs.File
	closed *int
}

func (c countingFile) Close() error {
	*c.closed++
	return c.File.Close()
}

type countingFS struct {
	vfs.FS
	closed *int
}

func (c countingFS) Create(name string, perm fs.FileMode) (vfs.File, error) {
	f, err := c.FS.Create(name, perm)
	return countingFile{f, c.closed}, err
}

func TestFailedCloseCloses(t *testing.T) {
	var closed int
	efs := errorfs.Wrap(countingFS{vfs.OS, &closed})
	f, err := efs.Create(filepath.Join(t.TempDir(), "f"), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	efs.Inject(errorfs.PowerLossAt(0))
	if err := f.Close(); !errors.Is(err, errorfs.ErrPowerLoss) || closed != 1 {
		t.Errorf("Close = %v, closed %d times; want %v, 1", err, closed, errorfs.ErrPowerLoss)
	}
}

func TestCreateReportedAsFailedIsClosed(t *testing.T) {
	var closed int
	efs := errorfs.Wrap(countingFS{vfs.OS, &closed})
	efs.Inject(errorfs.Plan{Fault: errorfs.FailAfter(syscall.EIO)})
	f, err := efs.Create(filepath.Join(t.TempDir(), "f"), 0o600)
	if f != nil || !errors.Is(err, syscall.EIO) || closed != 1 {
		t.Errorf("Create = %v, %v, closed %d times; want nil, %v, 1", f, err, closed, syscall.EIO)
	}
}
