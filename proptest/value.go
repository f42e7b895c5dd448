package proptest

import (
	"fmt"
	"hash/crc32"

	"github.com/machreg/machreg/registry"
)

// A value of a concurrent history is known by the write that made it, and its
// other members follow from its name and that: whatever is mixed from two
// values is neither. All are of one size, so that a file may keep its size when
// it changes.

// valueID names the write: history, client and step.
func valueID(history, client, step int) string {
	return fmt.Sprintf("%06d.%02d.%03d", history%1e6, client, step)
}

func valueOf(name, id string) registry.Machine {
	sum := crc32.ChecksumIEEE([]byte(name + "\x00" + id))
	return registry.Machine{
		Name:     name,
		Type:     registry.TypeSSH,
		Host:     fmt.Sprintf("h%08x", sum),
		KeyPath:  fmt.Sprintf("/k/%08x", ^sum),
		TownPath: id,
	}
}

// idOf is the write that made m; mixed names what no write made.
func idOf(name string, m registry.Machine) string {
	if m != valueOf(name, m.TownPath) {
		return mixed + fmt.Sprintf("%+v", m)
	}
	return m.TownPath
}

const mixed = "mixed: "

// idsOf is a whole collection, without the machine that is always there.
func idsOf(list []registry.Machine) map[string]string {
	ids := make(map[string]string)
	for _, m := range list {
		if m.Name == registry.LocalName {
			continue
		}
		id := idOf(m.Name, m)
		if _, twice := ids[m.Name]; twice {
			id = mixed + "listed twice"
		}
		ids[m.Name] = id
	}
	return ids
}

func idsOfView(v View) map[string]string {
	var list []registry.Machine
	for name, m := range v.All() {
		if name != m.Name {
			m.Name, m.TownPath = name, mixed
		}
		list = append(list, m)
	}
	return idsOf(list)
}
