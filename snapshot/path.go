package snapshot

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/machreg/machreg/internal/vfs"
)

// Absolute returns path with the working directory before it, and nothing else
// changed: links on the way are followed whenever the path is used.
func Absolute(path string) (string, error) {
	if path == "" {
		return "", errors.New("registry path is empty")
	}
	p, err := rooted(path)
	if err != nil {
		return "", fmt.Errorf("registry path %q: %w", path, err)
	}
	return p, nil
}

// Resolve returns the absolute path of the file that path leads to now, so that
// however a registry is reached, through a link or by a relative path, it is
// one file with one lock. Links are followed even when their target does not
// exist yet; of directories that do not exist, those above them are resolved.
func Resolve(path string) (string, error) {
	p, err := Absolute(path)
	if err != nil {
		return "", err
	}
	route, err := vfs.OS.Resolve(p)
	if err != nil {
		return "", fmt.Errorf("registry path %q: %w", path, err)
	}
	return route.Target, nil
}

// rooted is path with the working directory before it. It does not call what
// cleans a path: "link/.." is where the link leads to, not where it stands.
func rooted(path string) (string, error) {
	if filepath.IsAbs(path) {
		return path, nil
	}
	if filepath.VolumeName(path) != "" || os.IsPathSeparator(path[0]) { // of Windows
		return filepath.Abs(path)
	}
	wd, err := os.Getwd()
	return wd + string(filepath.Separator) + path, err
}
