package sshconfig

import (
	"bytes"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"
)

// flattener turns a configuration and what it includes into one text in which
// every line is as the parsing library reads it best: a keyword and arguments
// that are percent-encoded, so that the library's lexer, which takes every #
// for a comment, knows quotes only around a whole value and no tabs between
// patterns, has nothing to misread. Match and Include never reach the library:
// it aborts at most of the former, and reads any file at once for the latter.
type flattener struct {
	home     string
	out      bytes.Buffer
	lines    []Position // of each line of out; the zero Position is not from a file
	warnings []Warning
	files    int
	// enclosing is the patterns of the Host line that what follows belongs to.
	enclosing []string
	// ignoring is set within a block that cannot be followed.
	ignoring bool
}

// Bounds on what one configuration may include, as much against a file that
// includes itself as against a pattern that matches the whole disk.
const (
	maxDepth    = 16 // as ssh
	maxFiles    = 256
	maxFileSize = 4 << 20
)

// keywords are those that this package looks at.
var keywords = map[string]bool{
	"host": true, "hostname": true, "user": true, "port": true, "identityfile": true, townPathKeyword: true,
}

// townPathKeyword carries the comment "# town_path: DIR", by which Block keeps
// what ssh has no word for.
const (
	townPathKeyword = "townpath"
	townPathComment = "town_path:"
)

// lossy are options that matter for reaching a host and have no place in it.
var lossy = map[string]string{"proxyjump": "ProxyJump", "proxycommand": "ProxyCommand"}

func (f *flattener) file(name string, text []byte, depth int) {
	for i, line := range strings.Split(string(text), "\n") {
		f.line(Position{name, i + 1}, line, depth)
	}
}

func (f *flattener) line(at Position, line string, depth int) {
	if comment, ok := strings.CutPrefix(strings.Trim(line, " \t\r"), "#"); ok {
		if path, ok := strings.CutPrefix(strings.TrimSpace(comment), townPathComment); ok && !f.ignoring {
			f.emit(at, townPathKeyword, strings.TrimSpace(path))
		}
		return
	}
	keyword, args, err := splitLine(line)
	if err != nil {
		f.warn(at, "line ignored: %v", err)
		f.ignoring = f.ignoring || keyword == "host" || keyword == "match"
		return
	}
	switch {
	case keyword == "":
	case keyword == "host":
		f.begin(at, args)
	case keyword == "match":
		f.match(at, args)
	case f.ignoring:
	case keyword == "include":
		f.include(at, args, depth)
	case len(args) == 0:
		if keywords[keyword] {
			f.warn(at, "line ignored: %s has no value", keyword)
		}
	case keywords[keyword]:
		f.emit(at, keyword, args[0])
	case lossy[keyword] != "" && args[0] != "none":
		f.warn(at, "%s is not kept: a machine has no place for it", lossy[keyword])
	}
}

// begin starts a block.
func (f *flattener) begin(at Position, patterns []string) {
	f.ignoring = len(patterns) == 0
	if f.ignoring {
		f.warn(at, "block ignored: no pattern")
		return
	}
	f.enclosing = patterns
	f.emit(at, "host", patterns...)
}

// match follows the forms of Match that are another spelling of Host.
func (f *flattener) match(at Position, args []string) {
	switch {
	case len(args) == 1 && strings.EqualFold(args[0], "all"):
		f.begin(Position{}, []string{"*"})
	case len(args) == 2 && strings.EqualFold(args[0], "originalhost"):
		// It names no new host, so its patterns are never aliases.
		f.begin(Position{}, strings.Split(args[1], ","))
	default:
		f.ignoring = true
		f.warn(at, "block ignored: Match %s depends on more than the name of the host", strings.Join(args, " "))
	}
}

// include puts the lines of other files here, where ssh reads them.
func (f *flattener) include(at Position, args []string, depth int) {
	if len(f.enclosing) > 0 && !(len(f.enclosing) == 1 && f.enclosing[0] == "*") {
		f.warn(at, "not included: Include inside a block for certain hosts is not supported")
		return
	}
	if depth >= maxDepth {
		f.warn(at, "not included: more than %d files inside one another", maxDepth)
		return
	}
	for _, arg := range args {
		path := f.includePath(at, arg)
		if !filepath.IsAbs(path) {
			f.warn(at, "not included: %q: the home directory is not known", arg)
			continue
		}
		paths, err := filepath.Glob(path)
		if err != nil {
			f.warn(at, "not included: %q: %v", arg, err)
		}
		for _, path := range paths {
			if f.files++; f.files > maxFiles {
				f.warn(at, "not included: more than %d files in all", maxFiles)
				return
			}
			text, err := ReadFile(path)
			if err != nil {
				f.warn(at, "not included: %v", err)
				continue
			}
			f.file(path, text, depth+1)
			f.begin(Position{}, []string{"*"}) // what follows is for all again
		}
	}
}

func (f *flattener) includePath(at Position, path string) string {
	switch {
	case filepath.IsAbs(path):
		return path
	case strings.HasPrefix(path, "~/"):
		return filepath.Join(f.home, path[2:])
	case strings.HasPrefix(at.File, "/etc/ssh/"):
		return filepath.Join("/etc/ssh", path)
	}
	return filepath.Join(f.home, ".ssh", path)
}

func (f *flattener) emit(at Position, keyword string, args ...string) {
	f.lines = append(f.lines, at)
	f.out.WriteString(keyword)
	for _, a := range args {
		f.out.WriteByte(' ')
		f.out.WriteString(encodeWord(a))
	}
	f.out.WriteByte('\n')
}

func (f *flattener) warn(at Position, format string, args ...any) {
	f.warnings = append(f.warnings, Warning{at, fmt.Sprintf(format, args...)})
}

// encodeWord leaves nothing in s that the library could take for more than a
// character. Patterns keep their meaning, since they are decoded before they
// are matched; an empty word must not vanish.
func encodeWord(s string) string {
	if s == "" {
		return "%"
	}
	return url.QueryEscape(s)
}

func decodeWord(s string) (string, error) {
	if s == "%" {
		return "", nil
	}
	return url.QueryUnescape(s)
}

// ReadFile reads a configuration. It refuses what is not a regular file, so
// that it never hangs, and what is too large to be one.
func ReadFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("read %q: is not a regular file", path)
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return ReadLimited(file, path)
}

// ReadLimited reads a configuration from a stream.
func ReadLimited(r io.Reader, name string) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxFileSize+1))
	if err == nil && len(text) > maxFileSize {
		err = fmt.Errorf("read %q: larger than %d bytes", name, maxFileSize)
	}
	return text, err
}
