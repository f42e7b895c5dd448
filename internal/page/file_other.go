//go:build !unix

package page

import (
	"os"

	"github.com/machreg/machreg/internal/vfs"
)

const openFlags = 0

func isReadOnly(error) bool { return false }

// Permissions are inherited from the directory here.
func (p *Page) shareLikeLock(*os.File) error { return nil }

func (p *Page) trust(vfs.Info) error { return nil }
