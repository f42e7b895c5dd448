package compare

import (
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
	unknown string // members, of the file and of entries, that neither knows
	numbers bool   // revision and checksum
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
	v.unknown = unknownText("file", members)
	for _, name := range slices.Sorted(maps.Keys(entries)) {
		// The machine that always exists need not be in the file.
		if m := machines[name]; m != (registry.Machine{Name: registry.LocalName, Type: registry.TypeLocal}) {
			v.entries += fmt.Sprintf("%s: %s\n", name, machineText(m))
		}
		for _, known := range []string{"name", "type", "host", "key_path", "town_path"} {
			delete(entries[name], known)
		}
		v.unknown += unknownText(name, entries[name])
	}
	return v, nil
}

func unknownText(of string, members map[string]json.RawMessage) string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(members)) {
		fmt.Fprintf(&b, "%s.%s=%s ", of, name, members[name])
	}
	return b.String()
}

// replaced reports whether the file is another one than before.
func (v fileView) replaced(before fileView) bool {
	if !v.there || !before.there {
		return v.there != before.there
	}
	return !os.SameFile(v.info, before.info) || !v.info.ModTime().Equal(before.info.ModTime())
}
