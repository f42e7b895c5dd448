package compare

import (
	"bufio"
	"os"
	"runtime"
	"strings"

	"github.com/machreg/machreg/internal/vfs"
)

// Host is what a run was made on.
type Host struct {
	CPU        string `json:"cpu,omitempty"`
	Cores      int    `json:"cores"`
	System     string `json:"system"`
	Go         string `json:"go"`
	FileSystem string `json:"file_system,omitempty"` // that the registries were on
}

func hostOf(dir string) Host {
	on, _ := vfs.FileSystemOf(dir) // one that cannot be told is called so
	return Host{cpuModel(), runtime.NumCPU(), runtime.GOOS + "/" + runtime.GOARCH, runtime.Version(), on.String()}
}

// cpuModel is what Linux calls the processor; elsewhere nothing.
func cpuModel() string {
	f, err := os.Open("/proc/cpuinfo")
	if err != nil {
		return ""
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if key, value, ok := strings.Cut(lines.Text(), ":"); ok && strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
