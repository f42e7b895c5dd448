package page

import (
	"hash/fnv"
	"os"
	"sync"
)

// thisBoot identifies the present start of the system, as far as that can be
// told. It is never 0.
var thisBoot = sync.OnceValue(func() uint64 {
	h := fnv.New64a()
	id, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	h.Write(id)
	return h.Sum64() | 1
})
