package proptest_test

import (
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"

	"github.com/machreg/machreg/proptest"
)

// ofTheBaseline are the differences that can be seen through a Subject.
var ofTheBaseline = proptest.Tolerate(
	proptest.ListOrder, proptest.MemoryBeforeSave, proptest.IdenticalWrite, proptest.UnknownMembers,
	proptest.UncheckedEntries, proptest.LenientFile, proptest.TextChecks,
)

func TestMachines(t *testing.T) {
	proptest.Run(t, proptest.Machines(&plain),
		proptest.File(proptest.FileName), proptest.Processes("machines"), proptest.Ways(proptest.MixedWays()...),
		proptest.CommitsOnly(), proptest.FollowsPath())
}

func TestBaseline(t *testing.T) {
	proptest.Run(t, proptest.Baseline(nil),
		proptest.File(proptest.FileName), proptest.Processes("baseline"), proptest.Histories(60), ofTheBaseline)
}

// FuzzConformance is the state machine driven by the fuzzer. It is given long
// inputs to begin with: a short one is used up before much has happened.
func FuzzConformance(f *testing.F) {
	random := rand.NewChaCha8([32]byte{})
	for range 8 {
		input := make([]byte, 8<<10)
		random.Read(input)
		f.Add(input)
	}
	f.Fuzz(rapid.MakeFuzz(proptest.SequentialProperty(proptest.Machines(&plain), proptest.File(proptest.FileName),
		proptest.Ways(proptest.MixedWays()...), proptest.CommitsOnly(), proptest.FollowsPath())))
}

// TestMemory puts the example's registry, which is somebody else's, through the
// suite.
func TestMemory(t *testing.T) {
	proptest.Run(t, newMemory, proptest.Tolerate(proptest.ListOrder))
}
