package snapshot

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Resolve returns the absolute path of the file that path leads to, so that
// however a registry is reached, through a link or by a relative path, it is
// one file with one lock. Links are followed even when their target does not
// exist yet; a directory that does not exist is taken as it is written.
func Resolve(path string) (string, error) {
	if path == "" {
		return "", errors.New("registry path is empty")
	}
	p, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("registry path %q: %w", path, err)
	}
	for range 40 { // as many links as the kernel follows
		real, err := filepath.EvalSymlinks(p)
		if err == nil {
			return real, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("registry path %q: %w", path, err)
		}
		target, err := os.Readlink(p)
		if err != nil {
			if dir, err := filepath.EvalSymlinks(filepath.Dir(p)); err == nil {
				p = filepath.Join(dir, filepath.Base(p))
			}
			return p, nil
		}
		if !filepath.IsAbs(target) {
			target = filepath.Join(filepath.Dir(p), target)
		}
		p = target
	}
	return "", fmt.Errorf("registry path %q: too many symbolic links", path)
}
