package compare

import (
	"fmt"
	"hash/crc32"
	"strconv"
	"strings"

	"github.com/machreg/machreg/registry"
)

// Every value can be told from all others and from every mixture of two: it
// carries the number of the write that made it, and the time that the write
// began, and its other members follow from these and the name.

func keyName(key int) string { return fmt.Sprintf("m%06d", key) }

func machineOf(name string, number uint64, began int64) registry.Machine {
	town := "/w/" + strconv.FormatUint(number, 10) + "/" + strconv.FormatInt(began, 10)
	sum := crc32.ChecksumIEEE([]byte(name + town))
	return registry.Machine{
		Name:     name,
		Type:     registry.TypeSSH,
		Host:     fmt.Sprintf("ci@h%08x", sum),
		KeyPath:  fmt.Sprintf("/k/%08x", ^sum),
		TownPath: town,
	}
}

// numberOf is the write that made m, or an error if none did.
func numberOf(name string, m registry.Machine) (uint64, error) {
	number, began, ok := strings.Cut(strings.TrimPrefix(m.TownPath, "/w/"), "/")
	n, err := strconv.ParseUint(number, 10, 64)
	if ok && err == nil {
		var at int64
		if at, err = strconv.ParseInt(began, 10, 64); err == nil && machineOf(name, n, at) == m {
			return n, nil
		}
	}
	return 0, fmt.Errorf("machine %q holds what no write made: %+v", name, m)
}
