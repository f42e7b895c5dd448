package vfs

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// OS is the real file system.
var OS FS = osFS{}

type osFS struct{}

type osFile struct{ *os.File }

func (osFS) Remove(name string) error { return os.Remove(name) }

func (osFS) Mkdir(name string, perm fs.FileMode) error { return os.Mkdir(name, perm) }

// maxLinks is as many links as a kernel follows.
const maxLinks = 40

// Resolve reads link after link, as the kernel does; ".." is where the link
// before it leads, not where that link stands. Below a directory that does not
// exist there are no links, and the rest is taken by name. A path that the kernel
// would not follow once that directory is made is an error.
func (osFS) Resolve(path string) (route Route, err error) {
	// A link may be turned, and where it led removed, right after it was read.
	const attempts = 5
	for range attempts {
		if route, err = resolve(path); !errors.Is(err, fs.ErrNotExist) {
			break
		}
	}
	return route, err
}

func resolve(path string) (Route, error) {
	const separator = string(filepath.Separator)
	volume := filepath.VolumeName(path)
	route := Route{Target: volume + separator}
	rest := path[len(volume):]
	for rest != "" {
		end := strings.IndexFunc(rest, func(r rune) bool { return r < 0x80 && os.IsPathSeparator(uint8(r)) })
		part := rest
		if rest = ""; end >= 0 {
			part, rest = part[:end], part[end+1:]
		}
		next := filepath.Join(route.Target, part)
		if part == "" || part == "." || part == ".." {
			route.Target = next
			continue
		}
		to, err := readLink(next)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			if separator == "/" && !isNames(rest, end >= 0) {
				return Route{}, &fs.PathError{Op: "resolve", Path: path, Err: syscall.ENOENT}
			}
			route.Target = filepath.Join(next, rest)
			rest = ""
		case err != nil:
			return Route{}, &fs.PathError{Op: "resolve", Path: path, Err: err}
		case to == "", isOpaque(next, to): // no link
			route.Target = next
		default:
			if route.Links = append(route.Links, next); len(route.Links) > maxLinks {
				return Route{}, &fs.PathError{Op: "resolve", Path: path, Err: syscall.ELOOP}
			}
			if filepath.IsAbs(to) {
				volume = filepath.VolumeName(to)
				route.Target, to = volume+separator, to[len(volume):]
			}
			if end >= 0 {
				to += separator + rest
			}
			rest = to
		}
	}
	route.Target = properName(route.Target)
	return route, nil
}

// isNames reports whether the rest of a path, after an element that does not
// exist, names a file in directories that can be made. Names can follow; going up
// cannot, and a path that ends as one of a directory is none of a file.
func isNames(rest string, separated bool) bool {
	if rest == "" {
		return !separated
	}
	parts := strings.Split(rest, "/")
	last := parts[len(parts)-1]
	return last != "" && last != "." && !slices.Contains(parts, "..")
}

// isOpaque reports whether a link of /proc leads elsewhere than its text says,
// as the root of a process in a container does: the text can then not be
// followed, and the link is taken for a directory.
func isOpaque(link, to string) bool {
	if !strings.HasPrefix(link, "/proc/") {
		return false
	}
	if !filepath.IsAbs(to) {
		to = filepath.Join(filepath.Dir(link), to)
	}
	there, err := OS.Stat(link)
	if err != nil {
		return false
	}
	said, err := OS.Stat(to)
	return err != nil || !said.SameFile(there)
}

func (osFS) ReadNames(dir string) ([]string, error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	return d.Readdirnames(-1)
}
