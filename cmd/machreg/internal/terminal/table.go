package terminal

import (
	"iter"
	"strings"
)

// Column is one column of a table.
type Column struct {
	Title string
	// Least is how narrow the column may become when the lines do not fit the
	// terminal; 0 is not at all.
	Least int
}

// Cell is one field of a row. Text is made safe when it is printed.
type Cell struct {
	Text  string
	Style Style
}

const columnGap = 2

// Table prints rows under columns. It runs through the rows twice, first to
// measure and then to print, so that a long table is neither held in memory nor
// late to begin. On a terminal the lines are cut to its width. The last cell of
// a row that is shorter than the others may run on to the end of the line.
func (p *Printer) Table(columns []Column, rows iter.Seq[[]Cell], headers bool) error {
	widths := make([]int, len(columns))
	if headers {
		for i, c := range columns {
			widths[i] = Width(c.Title)
		}
	}
	for row := range rows {
		for i, c := range row {
			if w := Width(Safe(c.Text)); w > widths[i] && !runsOn(i, row, widths) {
				widths[i] = w
			}
		}
	}
	p.fit(columns, widths)
	if headers {
		row := make([]Cell, len(columns))
		for i, c := range columns {
			row[i] = Cell{c.Title, Header}
		}
		p.row(widths, row)
	}
	for row := range rows {
		p.row(widths, row)
		if p.err != nil {
			break
		}
	}
	return p.err
}

// fit takes columns off the widest column that allows it until a line fits.
func (p *Printer) fit(columns []Column, widths []int) {
	if p.width == 0 {
		return
	}
	total := columnGap * (len(widths) - 1)
	for _, w := range widths {
		total += w
	}
	for ; total > p.width; total-- {
		widest := -1
		for i, c := range columns {
			if c.Least > 0 && widths[i] > c.Least && (widest < 0 || widths[i] > widths[widest]) {
				widest = i
			}
		}
		if widest < 0 {
			return
		}
		widths[widest]--
	}
}

// runsOn reports whether cell i is the last of a row that is too short.
func runsOn(i int, row []Cell, widths []int) bool {
	return i == len(row)-1 && len(row) < len(widths)
}

func (p *Printer) row(widths []int, cells []Cell) {
	var b strings.Builder
	at := 0  // columns written
	gap := 0 // spaces owed: none are written at the end of a line
	for i, c := range cells {
		text := Safe(c.Text)
		if !runsOn(i, cells, widths) {
			text = Truncate(text, widths[i])
		} else if p.width > 0 {
			text = Truncate(text, p.width-at-gap)
		}
		if text != "" {
			b.WriteString(strings.Repeat(" ", gap))
			b.WriteString(p.Paint(c.Style, text))
			at += gap + Width(text)
			gap = 0
		}
		gap += max(widths[i]-Width(text), 0) + columnGap
	}
	b.WriteByte('\n')
	p.Write([]byte(b.String()))
}
