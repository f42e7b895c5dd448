// Package sshconfig reads the hosts of an OpenSSH client configuration and
// writes hosts as one.
//
// Reading follows ssh: the first value of an option wins, options of wildcard
// blocks apply to the hosts they match, negated patterns take hosts out of a
// block. Each alias that is spelled out in a Host line becomes a host. Files
// named by Include outside of blocks for certain hosts are read too; "Match
// all" and "Match originalhost" are followed, and any other Match block is
// ignored with a warning, since it depends on where and when ssh runs.
package sshconfig

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/kevinburke/ssh_config"
)

// Host is one host that a configuration spells out.
type Host struct {
	Alias string
	Destination
	IdentityFile string // as written, with the tokens that are known put in
	TownPath     string // from a comment "# town_path: DIR" in a block for it
	At           Position
}

// Position is a line of a file.
type Position struct {
	File string
	Line int // from 1
}

// String is FILE:LINE.
func (p Position) String() string { return fmt.Sprintf("%s:%d", p.File, p.Line) }

// Warning is something that was not taken over.
type Warning struct {
	At   Position
	Text string // not safe for a terminal
}

// Config is what was read.
type Config struct {
	Hosts     []Host    // in the order of the file
	Wildcards int       // Host lines without any alias
	Warnings  []Warning // by place
}

// block is a Host line and what belongs to it.
type block struct {
	at       Position
	patterns []string
	options  []option
}

type option struct {
	at             Position
	keyword, value string
}

// Read reads the configuration text that the file called name holds. home is
// the user's home directory, for what Include names and for tokens. What cannot
// be taken over is in the warnings; an error means that nothing could be read.
func Read(name string, text []byte, home string) (*Config, error) {
	f := &flattener{home: home}
	f.file(name, text, 0)
	blocks, err := f.parse()
	if err != nil {
		return nil, fmt.Errorf("read %q: %w", name, err)
	}
	r := reader{blocks: blocks, home: home, config: Config{Warnings: f.warnings}}
	r.hosts()
	slices.SortStableFunc(r.config.Warnings, func(a, b Warning) int {
		return cmp.Or(cmp.Compare(a.At.File, b.At.File), cmp.Compare(a.At.Line, b.At.Line))
	})
	return &r.config, nil
}

// parse has the library read the flattened text.
func (f *flattener) parse() (blocks []block, err error) {
	parsed, err := ssh_config.DecodeBytes(f.out.Bytes())
	if err != nil {
		return nil, err
	}
	// The library's Host does not know its line. Blocks come in the order of
	// the Host lines, after one for what stands before the first of them.
	var starts []Position
	for i, line := range strings.Split(f.out.String(), "\n") {
		if strings.HasPrefix(line, "host ") {
			starts = append(starts, f.lines[i])
		}
	}
	for i, h := range parsed.Hosts {
		b := block{}
		if i > 0 {
			b.at = starts[i-1]
		}
		for _, p := range h.Patterns {
			word, err := decodeWord(p.String())
			if err != nil {
				return nil, err
			}
			b.patterns = append(b.patterns, word)
		}
		for _, node := range h.Nodes {
			kv, ok := node.(*ssh_config.KV)
			if !ok {
				continue
			}
			value, err := decodeWord(kv.Value)
			if err != nil {
				return nil, err
			}
			b.options = append(b.options, option{f.lines[kv.Pos().Line-1], kv.Key, value})
		}
		blocks = append(blocks, b)
	}
	return blocks, nil
}

type reader struct {
	blocks []block
	home   string
	config Config
}

func (r *reader) hosts() {
	seen := make(map[string]bool)
	for _, b := range r.blocks {
		if b.at == (Position{}) {
			continue // written by the flattener, not by anybody
		}
		aliases := 0
		for _, alias := range b.patterns {
			if isWildcard(alias) {
				continue
			}
			aliases++
			if alias == "" || seen[alias] || !matchesAny(b.patterns, alias) {
				continue
			}
			seen[alias] = true
			h, err := r.host(alias, b.at)
			if err != nil {
				r.warn(b.at, "%q is not taken over: %v", alias, err)
				continue
			}
			r.config.Hosts = append(r.config.Hosts, h)
		}
		if aliases == 0 {
			r.config.Wildcards++
		}
	}
}

// host collects what the blocks say about alias.
func (r *reader) host(alias string, at Position) (Host, error) {
	h := Host{Alias: alias, At: at}
	first := make(map[string]string)
	var identities []string
	for _, b := range r.blocks {
		if !matchesAny(b.patterns, alias) {
			continue
		}
		for _, o := range b.options {
			if o.keyword == "identityfile" {
				identities = append(identities, o.value)
			} else if _, known := first[o.keyword]; !known {
				first[o.keyword] = o.value
			}
		}
	}
	h.User, h.TownPath = first["user"], first[townPathKeyword]
	if port := first["port"]; port != "" {
		var err error
		if h.Port, err = ParsePort(port); err != nil {
			return h, err
		}
	}
	h.Host = alias
	if name := first["hostname"]; name != "" {
		h.Host, _ = expand(name, map[byte]string{'h': alias})
	}
	h.IdentityFile = r.identity(h, identities)
	return h, h.check()
}

// identity is the first file that there is, with what is known put in.
func (r *reader) identity(h Host, files []string) string {
	for _, file := range files {
		if strings.EqualFold(file, "none") {
			continue
		}
		if rest, ok := strings.CutPrefix(file, "%d/"); ok {
			file = "~/" + rest
		}
		tokens := map[byte]string{'h': h.Host, 'n': h.Alias, 'p': "22"}
		if r.home != "" {
			tokens['d'] = r.home
		}
		if h.Port != 0 {
			tokens['p'] = fmt.Sprint(h.Port)
		}
		if h.User != "" {
			tokens['r'] = h.User
		}
		expanded, known := expand(file, tokens)
		if !known || strings.Contains(file, "${") {
			r.warn(h.At, "%q: identity file %q is kept as it is, and means nothing outside of ssh", h.Alias, file)
			return file
		}
		return expanded
	}
	return ""
}

// expand puts in the tokens that it knows. It reports whether it knew all.
func expand(s string, tokens map[byte]string) (_ string, known bool) {
	var b strings.Builder
	known = true
	for i := 0; i < len(s); i++ {
		if s[i] != '%' || i+1 == len(s) {
			b.WriteByte(s[i])
			continue
		}
		i++
		t, ok := tokens[s[i]]
		switch {
		case s[i] == '%':
			b.WriteByte('%')
		case ok:
			b.WriteString(t)
		default:
			known = false
			b.WriteString(s[i-1 : i+1])
		}
	}
	return b.String(), known
}

func (r *reader) warn(at Position, format string, args ...any) {
	r.config.Warnings = append(r.config.Warnings, Warning{at, fmt.Sprintf(format, args...)})
}
