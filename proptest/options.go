package proptest

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"
)

// Option says what the subject is, or how much to run.
type Option func(*config)

type config struct {
	shared    bool
	file      string
	processes string
	tolerated map[string]bool
	alone     bool
	histories int
	ways      []Way
	// commitsOnly and follows: see the options of these names.
	commitsOnly, follows bool
}

// Shared says that handles opened on one directory are handles on one registry.
func Shared() Option { return func(c *config) { c.shared = true } }

// File says that the registry is kept in a file of that name, in the format of
// this module or in the baseline's. Such a subject is [Shared].
func File(name string) Option {
	return func(c *config) { c.file, c.shared = name, true }
}

// Processes says that different processes can share the registry, and under
// which name [Main] was given the subject. Such a subject is [Shared].
func Processes(name string) Option {
	return func(c *config) { c.processes, c.shared = name, true }
}

// Ways says in which ways handles on one registry may be opened; each handle's is
// drawn from the seed. With [Processes], [Main] must have been given them too.
// The subject is then [Shared].
func Ways(ways ...Way) Option {
	return func(c *config) { c.ways, c.shared = ways, true }
}

// CommitsOnly says that only commits make revisions: what something else wrote
// is shown at the revision that it was made on, its View has a method Edited
// that returns true, no revision is a condition that holds for it, and the next
// commit gives it a revision before its own.
func CommitsOnly() Option { return func(c *config) { c.commitsOnly = true } }

// FollowsPath says that a handle serves the path as it was given, whatever it
// becomes or leads to while the handle is open.
func FollowsPath() Option { return func(c *config) { c.follows = true } }

// Tolerate names differences that the subject shares with the baseline; the
// names are those of [Differences]. An unknown one panics.
func Tolerate(names ...string) Option {
	for _, name := range names {
		if !known(name) {
			panic(fmt.Sprintf("proptest: no difference is called %q", name))
		}
	}
	return func(c *config) {
		for _, name := range names {
			c.tolerated[name] = true
		}
	}
}

func known(name string) bool {
	for _, d := range Differences {
		if d.Name == name {
			return true
		}
	}
	return false
}

// Sequential says that the subject is not safe for concurrent use: it is only
// given one command after another.
func Sequential() Option { return func(c *config) { c.alone = true } }

// Histories is how many concurrent histories each test runs, if the environment
// does not say; by default 100.
func Histories(n int) Option { return func(c *config) { c.histories = n } }

const defaultHistories = 100

func newConfig(opts []Option) config {
	c := config{tolerated: make(map[string]bool), histories: defaultHistories}
	for _, o := range opts {
		o(&c)
	}
	return c
}

// The environment, for those who run the tests.
const (
	// EnvSeed is the seed of everything random; by default it is drawn.
	EnvSeed = "MACHREG_SEED"
	// EnvHistories is how many concurrent histories each test runs.
	EnvHistories = "MACHREG_HISTORIES"
	// EnvTime is how long each property goes on, as in "4h"; by default it
	// ends after a fixed number of checks.
	EnvTime = "MACHREG_PROPTEST_TIME"
	// EnvDir is where the histories of failures are saved; by default a
	// directory of the system's for temporary files.
	EnvDir = "MACHREG_PROPTEST_DIR"
)

// seed is one for the whole run, so that one number reproduces it.
var seed = sync.OnceValue(func() uint64 {
	if v := os.Getenv(EnvSeed); v != "" {
		n, err := strconv.ParseUint(v, 0, 64)
		if err != nil {
			panic(fmt.Sprintf("%s=%q: want a number", EnvSeed, v))
		}
		return n
	}
	return rand.Uint64()>>1 | 1
})

// duration is EnvTime, 0 if not set.
var duration = sync.OnceValue(func() time.Duration {
	v := os.Getenv(EnvTime)
	if v == "" {
		return 0
	}
	d, err := time.ParseDuration(v)
	if err != nil {
		panic(fmt.Sprintf("%s=%q: want a duration such as 90s or 4h", EnvTime, v))
	}
	return d
})

func (c config) historyCount() int {
	if v := os.Getenv(EnvHistories); v != "" {
		n, err := strconv.Atoi(v)
		if err != nil {
			panic(fmt.Sprintf("%s=%q: want a number", EnvHistories, v))
		}
		return n
	}
	if testing.Short() {
		return max(1, c.histories/5)
	}
	return c.histories
}

// failureDir is a new directory for what one failure leaves.
func failureDir() (string, error) {
	root := os.Getenv(EnvDir)
	if root == "" {
		root = filepath.Join(os.TempDir(), "machreg-proptest")
	}
	if err := os.MkdirAll(root, 0o755); err != nil {
		return "", err
	}
	return os.MkdirTemp(root, "failure-")
}

// reproduce is the command that repeats a test with the same seed.
func reproduce(testName string) string {
	return fmt.Sprintf("%s=%d go test -count=1 -run '^%s$' .", EnvSeed, seed(), testName)
}
