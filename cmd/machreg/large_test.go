package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"testing"
)

const largeCount = 100_000

// largeRegistry is a file as something else would have written it.
func largeRegistry(t *testing.T) (file string) {
	t.Helper()
	var b strings.Builder
	b.WriteString(`{"version":1,"machines":{`)
	for i := range largeCount {
		if i > 0 {
			b.WriteString(",\n")
		}
		fmt.Fprintf(&b, `"m%06d":{"type":"ssh","host":"h%06d.example.net"}`, i, i)
	}
	b.WriteString("}}")
	file = filepath.Join(t.TempDir(), "machines.json")
	write(t, file, b.String())
	return file
}

// TestLargeListEndsWithItsReader reads one line of a long list and goes away,
// as head does.
func TestLargeListEndsWithItsReader(t *testing.T) {
	file := largeRegistry(t)
	for _, format := range []string{"table", "json", "yaml"} {
		r, w := io.Pipe()
		counted := &countingWriter{w: w}
		var stderr bytes.Buffer
		code := make(chan int)
		go func() {
			code <- run(t.Context(), []string{"-f", file, "list", "-o", format}, strings.NewReader(""), counted, &stderr)
		}()
		first, err := bufio.NewReader(r).ReadString('\n')
		if err != nil || first == "" {
			t.Errorf("-o %s: first line %q, %v", format, first, err)
		}
		r.Close()
		if got := <-code; got != exitDone || stderr.Len() > 0 {
			t.Errorf("-o %s: exit code %d, stderr %q", format, got, stderr.String())
		}
		// What was written before the reader had gone is a small part.
		if counted.n > 200_000 {
			t.Errorf("-o %s: %d bytes were written to a reader of one line", format, counted.n)
		}
	}
}

type countingWriter struct {
	w io.Writer
	n int
}

func (c *countingWriter) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	c.n += n
	return n, err
}
