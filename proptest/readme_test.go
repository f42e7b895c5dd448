package proptest_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/machreg/machreg/proptest"
)

// TestReadme holds the table in README.md to the one in the code.
func TestReadme(t *testing.T) {
	var table strings.Builder
	table.WriteString("| difference | baseline | here |\n|---|---|---|\n")
	for _, d := range proptest.Differences {
		fmt.Fprintf(&table, "| %s | %s | %s |\n", d.Name, d.Baseline, d.Here)
	}
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), table.String()) {
		t.Errorf("README.md does not have the differences as they are:\n%s", &table)
	}
}
