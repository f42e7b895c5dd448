package page

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// TryWrite returns why a writer could not make the page odd, or nil, and changes
// nothing. That there is no page is no obstacle: a writer makes one.
func (p *Page) TryWrite() error {
	f, err := os.OpenFile(p.path, os.O_RDWR|openFlags, 0)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("revision page: %w", err)
	}
	f.Close()
	return nil
}
