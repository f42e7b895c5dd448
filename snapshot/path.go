package snapshot

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Resolve returns the absolute path of the file that path leads to, so that
// however a registry is reached, through a link or by a relative path, it is
// one file with one lock. Links are followed even when their target does not
// exist yet; of directories that do not exist, those above them are resolved.
func Resolve(path string) (string, error) {
	if path == "" {
		return "", errors.New("registry path is empty")
	}
	p, err := rooted(path)
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
		dir, base := filepath.Split(p)
		if dir, err = resolveDir(dir); err != nil {
			return "", fmt.Errorf("registry path %q: %w", path, err)
		}
		p = filepath.Join(dir, base)
		target, err := os.Readlink(p)
		if err != nil {
			return p, nil
		}
		if filepath.IsAbs(target) {
			p = target
		} else {
			p = dir + string(filepath.Separator) + target
		}
	}
	return "", fmt.Errorf("registry path %q: too many symbolic links", path)
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

// resolveDir resolves as much of dir as exists.
func resolveDir(dir string) (string, error) {
	real, err := filepath.EvalSymlinks(dir)
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return real, err
	}
	parent, base := filepath.Split(strings.TrimRight(dir, string(filepath.Separator)))
	if parent == "" || base == "" {
		return dir, nil
	}
	if parent, err = resolveDir(parent); err != nil {
		return "", err
	}
	return filepath.Join(parent, base), nil
}
