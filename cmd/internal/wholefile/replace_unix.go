//go:build !windows

package wholefile

import (
	"path/filepath"

	"github.com/google/renameio/v2"
)

func replace(path string) (pending, error) {
	f, err := renameio.NewPendingFile(path,
		renameio.WithTempDir(filepath.Dir(path)), // a rename stays within a file system
		renameio.WithPermissions(newPerm),
		renameio.WithExistingPermissions())
	if err != nil {
		return nil, err
	}
	return f, nil
}
