package terminal_test

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/machreg/machreg/cmd/machreg/internal/terminal"
)

func noEnv(string) string { return "" }

var columns = []terminal.Column{{Title: "NAME", Least: 4}, {Title: "HOST", Least: 4}, {Title: "X"}}

func cells(texts ...string) (row []terminal.Cell) {
	for _, s := range texts {
		row = append(row, terminal.Cell{Text: s})
	}
	return row
}

func TestTable(t *testing.T) {
	var b bytes.Buffer
	p := terminal.New(&b, terminal.Auto, noEnv)
	rows := [][]terminal.Cell{cells("日本", "a", "1"), cells("b\x1b", "", ""), cells("c", "the rest of a line that is long")}
	if err := p.Table(columns, slices.Values(rows), true); err != nil {
		t.Fatal(err)
	}
	p.Flush()
	want := "" +
		"NAME   HOST  X\n" +
		"日本   a     1\n" +
		"b\\x1b\n" +
		"c      the rest of a line that is long\n"
	if b.String() != want {
		t.Errorf("table:\n%s\nwant:\n%s", b.String(), want)
	}
}

func TestTableFitsTheTerminal(t *testing.T) {
	long := strings.Repeat("0123456789", 9)
	for _, width := range []int{20, 40, 80, 200} {
		var b bytes.Buffer
		p := terminal.New(&b, terminal.Never, noEnv)
		p.SetWidth(width)
		rows := [][]terminal.Cell{cells(long, long, "x"), cells("name", long)}
		p.Table(columns, slices.Values(rows), true)
		p.Flush()
		for line := range strings.Lines(b.String()) {
			if w := terminal.Width(strings.TrimSuffix(line, "\n")); w > width {
				t.Errorf("width %d: a line takes %d columns: %q", width, w, line)
			}
		}
		if cut := strings.Contains(b.String(), "…"); cut != (width < 200) {
			t.Errorf("width %d: cut is %v:\n%s", width, cut, b.String())
		}
	}
}

func TestColor(t *testing.T) {
	for _, c := range []struct {
		color terminal.Color
		env   string
		want  bool
	}{
		{terminal.Auto, "", false}, // a buffer is no terminal
		{terminal.Always, "", true},
		{terminal.Always, "1", true}, // asked for is asked for
		{terminal.Never, "", false},
	} {
		p := terminal.New(&bytes.Buffer{}, c.color, func(string) string { return c.env })
		if got := p.Paint(terminal.Bad, "x") != "x"; got != c.want {
			t.Errorf("--color %s with NO_COLOR=%q: colour is %v, want %v", c.color, c.env, got, c.want)
		}
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

func TestPrinterKeepsItsFirstError(t *testing.T) {
	p := terminal.New(failing{syscall.EPIPE}, terminal.Auto, noEnv)
	p.Printf("%s", strings.Repeat("x", 100_000))
	if err := p.Flush(); !terminal.IsClosed(err) {
		t.Errorf("Flush = %v, want a closed pipe", err)
	}
	rows := 0
	err := p.Table(columns, func(yield func([]terminal.Cell) bool) {
		for range 1000 {
			if rows++; !yield(cells("a", "b", "c")) {
				return
			}
		}
	}, false)
	if !errors.Is(err, syscall.EPIPE) || rows > 1001 {
		t.Errorf("Table = %v after %d rows, want it to stop at the first", err, rows)
	}
}
