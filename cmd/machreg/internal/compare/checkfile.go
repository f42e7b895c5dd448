package compare

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/machreg/machreg/registry"
)

// fileView is what a registry file holds, taken apart so that each part can be
// compared by itself.
type fileView struct {
	there   bool
	info    os.FileInfo
	version string
	entries string // what both registries know of them, by name
	names   []string
	unknown map[string]string // members that neither knows, by their owner: an entry, or the file itself, ""
	numbers bool              // revision and checksum
}

func viewFile(path string) (v fileView, err error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return v, nil
	}
	if err != nil {
		return v, err
	}
	v.there = true
	if v.info, err = os.Stat(path); err != nil {
		return v, err
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(data, &members); err != nil {
		return v, fmt.Errorf("file %q: %w", path, err)
	}
	var entries map[string]map[string]json.RawMessage
	var machines map[string]registry.Machine
	if err := errors.Join(json.Unmarshal(members["machines"], &entries), json.Unmarshal(members["machines"], &machines)); err != nil {
		return v, fmt.Errorf("file %q: %w", path, err)
	}
	v.version = string(members["version"])
	v.numbers = members["revision"] != nil && members["checksum"] != nil
	for _, known := range []string{"version", "machines", "revision", "checksum"} {
		delete(members, known)
	}
	v.unknown = make(map[string]string)
	v.noteUnknown("", members)
	v.names = slices.Sorted(maps.Keys(entries))
	for _, name := range v.names {
		// The machine that always exists need not be in the file.
		if m := machines[name]; m != (registry.Machine{Name: registry.LocalName, Type: registry.TypeLocal}) {
			v.entries += fmt.Sprintf("%s: %s\n", name, machineText(m))
		}
		for _, known := range []string{"name", "type", "host", "key_path", "town_path"} {
			delete(entries[name], known)
		}
		v.noteUnknown(name, entries[name])
	}
	return v, nil
}

func (v fileView) noteUnknown(owner string, members map[string]json.RawMessage) {
	for _, name := range slices.Sorted(maps.Keys(members)) {
		v.unknown[owner] += fmt.Sprintf("%s.%s=%s ", cmp.Or(owner, "file"), name, members[name])
	}
}

// unknownText is all of them.
func (v fileView) unknownText() string {
	var b strings.Builder
	for _, owner := range slices.Sorted(maps.Keys(v.unknown)) {
		b.WriteString(v.unknown[owner])
	}
	return b.String()
}

// keptUnknown reports whether the members that neither knows are those of
// before, but for those of entries that are gone.
func (v fileView) keptUnknown(before fileView) bool {
	want := maps.Clone(before.unknown)
	maps.DeleteFunc(want, func(owner, _ string) bool { return owner != "" && !slices.Contains(v.names, owner) })
	return maps.Equal(v.unknown, want)
}

// replaced reports whether the file is another one than before.
func (v fileView) replaced(before fileView) bool {
	if !v.there || !before.there {
		return v.there != before.there
	}
	return !os.SameFile(v.info, before.info) || !v.info.ModTime().Equal(before.info.ModTime())
}
