package proptest_test

import (
	"os"
	"testing"

	"github.com/machreg/machreg/proptest"
	"github.com/machreg/machreg/proptest/baseline"
	"github.com/machreg/machreg/registry"
)

// plain is how a handle is opened that is not one of the mixed ones.
var plain = registry.Options{Sync: registry.SyncNone, Refresh: registry.RefreshNever}

// subjects are those that other processes open.
var subjects = map[string]proptest.New{
	"machines":  proptest.Machines(&plain),
	"baseline":  proptest.Baseline(nil),
	"published": proptest.Baseline(&baseline.Options{Lock: baseline.PublishedLock}),
}

func TestMain(m *testing.M) { os.Exit(proptest.Main(m, subjects, proptest.MixedWays()...)) }
