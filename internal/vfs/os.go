package vfs

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
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
// exist there are no links, and the rest is taken by name.
func (osFS) Resolve(path string) (Route, error) {
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
			route.Target = filepath.Join(next, rest)
			rest = ""
		case err != nil:
			return Route{}, &fs.PathError{Op: "resolve", Path: path, Err: err}
		case to == "": // no link
			route.Target = next
		default:
			if route.Links = append(route.Links, next); len(route.Links) > maxLinks {
				return Route{}, &fs.PathError{Op: "resolve", Path: path, Err: syscall.ELOOP}
			}
			if filepath.IsAbs(to) {
				volume = filepath.VolumeName(to)
				route.Target, to = volume+separator, to[len(volume):]
			}
			rest = to + separator + rest
		}
	}
	route.Target = properName(route.Target)
	return route, nil
}

func (osFS) ReadNames(dir string) ([]string, error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	return d.Readdirnames(-1)
}
