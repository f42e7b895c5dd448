package proptest_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/machreg/machreg/proptest"
	"github.com/machreg/machreg/proptest/controls"
)

// TestControls shows that the suite finds what it is for: each control has one
// fault, and has to be caught.
func TestControls(t *testing.T) {
	var table strings.Builder
	for _, fault := range controls.Faults {
		t.Run(string(fault), func(t *testing.T) {
			v := proptest.Hunt(t, controls.New(fault), proptest.File(proptest.FileName))
			if v == nil {
				t.Fatalf("a registry with the fault %q passes the suite", fault)
			}
			fmt.Fprintf(&table, "| %s | %s | %d |\n", fault, v.Stage, v.Checks)
			t.Log(v.Err)
		})
	}
	t.Logf("\n| fault | caught by | checks needed |\n|---|---|---|\n%s", &table)
}

// TestControlWithoutFault shows that it is the fault that is caught.
func TestControlWithoutFault(t *testing.T) {
	proptest.Run(t, controls.New(controls.None), proptest.File(proptest.FileName), proptest.Histories(60))
}
