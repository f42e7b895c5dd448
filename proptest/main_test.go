package proptest_test

import (
	"os"
	"testing"

	"github.com/machreg/machreg/proptest"
	"github.com/machreg/machreg/proptest/baseline"
)

// subjects are those that other processes open.
var subjects = map[string]proptest.New{
	"machines":  proptest.Mixed(),
	"baseline":  proptest.Baseline(nil),
	"published": proptest.Baseline(&baseline.Options{Lock: baseline.PublishedLock}),
}

func TestMain(m *testing.M) { os.Exit(proptest.Main(m, subjects)) }
