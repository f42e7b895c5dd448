package main

import (
	"fmt"
	"strings"
	"testing"
)

// TestManyMistakes: what is wrong with a file is listed as far as it helps, and
// the rest is counted, in a time that does not grow with its square.
func TestManyMistakes(t *testing.T) {
	const n = 50_000
	var b strings.Builder
	b.WriteString("[\n")
	for i := range n {
		fmt.Fprintf(&b, "{\"name\":\"m%d\",\"type\":\"ssh\",\"x\":1},\n", i)
	}
	b.WriteString("{\"name\":\"last\",\"type\":\"x\"}]")
	_, err := parseInput("file", []byte(b.String()))
	if err == nil {
		t.Fatal("no mistakes found")
	}
	lines := strings.Split(err.Error(), "\n")
	if len(lines) != maxMessages+1 || lines[0] != `file:2: "m0": type ssh requires a host` || lines[maxMessages] != fmt.Sprintf("and %d more", n-maxMessages) {
		t.Errorf("%d lines, from %q to %q", len(lines), lines[0], lines[len(lines)-1])
	}
}
