package proptest_test

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/machreg/machreg/proptest"
	"github.com/machreg/machreg/registry"
)

// ofTheBaseline are the differences that can be seen through a Subject.
var ofTheBaseline = proptest.Tolerate(
	proptest.ListOrder, proptest.MemoryBeforeSave, proptest.IdenticalWrite, proptest.UnknownMembers,
	proptest.UncheckedEntries, proptest.LenientFile, proptest.TextChecks,
)

func TestMachines(t *testing.T) {
	proptest.Run(t, proptest.Mixed(),
		proptest.File(proptest.FileName), proptest.Processes("machines"))
}

func TestBaseline(t *testing.T) {
	proptest.Run(t, proptest.Baseline(nil),
		proptest.File(proptest.FileName), proptest.Processes("baseline"), proptest.Histories(60), ofTheBaseline)
}

// FuzzConformance is the state machine driven by the fuzzer.
func FuzzConformance(f *testing.F) {
	open := proptest.Machines(&registry.Options{Sync: registry.SyncNone, Refresh: registry.RefreshNever})
	f.Fuzz(rapid.MakeFuzz(proptest.SequentialProperty(open, proptest.File(proptest.FileName))))
}
