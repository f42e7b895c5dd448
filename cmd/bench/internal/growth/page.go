package growth

import (
	"fmt"
	"slices"
	"strings"

	"github.com/machreg/machreg/cmd/bench/internal/peer"
	"github.com/machreg/machreg/cmd/bench/internal/report"
)

// page is what the template can ask for.
type page struct {
	*report.Report
	figures []figure
}

func (p page) figure(name string) figure {
	return p.figures[slices.IndexFunc(p.figures, func(f figure) bool { return f.Name == name })]
}

func (p page) curve(name, store string) Curve {
	f := p.figure(name)
	i := slices.IndexFunc(f.Curves, func(c Curve) bool { return c.Store == store })
	if i < 0 {
		return Curve{}
	}
	return f.Curves[i]
}

// Table is a figure's values in Markdown.
func (p page) Table(name string) string {
	f := p.figure(name)
	var b strings.Builder
	b.WriteString("| machines |")
	var sizes []float64
	for _, c := range f.Curves {
		fmt.Fprintf(&b, " %s |", c.Store)
		for _, pt := range c.Points {
			if !slices.Contains(sizes, pt.Size) {
				sizes = append(sizes, pt.Size)
			}
		}
	}
	slices.Sort(sizes)
	b.WriteString("\n|---:|" + strings.Repeat("---:|", len(f.Curves)) + "\n")
	for _, size := range sizes {
		fmt.Fprintf(&b, "| %s |", report.Count(int(size)))
		for _, c := range f.Curves {
			i := slices.IndexFunc(c.Points, func(p Point) bool { return p.Size == size })
			if i < 0 {
				b.WriteString(" |")
				continue
			}
			fmt.Fprintf(&b, " %s |", f.amount(c.Points[i].Value))
		}
		b.WriteString("\n")
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func (f figure) amount(x float64) string {
	if f.unit != "B" {
		return report.Amount(x, f.unit)
	}
	switch {
	case x >= 1e6:
		return fmt.Sprintf("%.1f MB", x/1e6)
	case x >= 1e3:
		return fmt.Sprintf("%.0f kB", x/1e3)
	}
	return fmt.Sprintf("%.0f B", x)
}

// Takes says from which size on one operation of machreg's takes that long.
func (p page) Takes(name string, nanoseconds float64) string {
	return size(p.curve(name, peer.Machreg).reaches(func(_, v float64) bool { return v >= nanoseconds }))
}

// Overtaken says from which size on another store is faster, and stays so.
func (p page) Overtaken(name, by string) string {
	other := p.curve(name, by)
	mine := p.curve(name, peer.Machreg)
	slower := func(size, v float64) bool {
		o, ok := other.at(size)
		return ok && v > o
	}
	// The last place where machreg is at least as fast; small differences
	// between small sizes are noise.
	last := 0.0
	for _, pt := range mine.Points {
		if !slower(pt.Size, pt.Value) {
			last = pt.Size
		}
	}
	return size(mine.reaches(func(size, v float64) bool { return size > last && slower(size, v) }))
}

func size(n float64) string {
	if n == 0 {
		return "no size measured here"
	}
	return "about " + report.Count(int(n)) + " machines"
}

// PerMachine is a figure of the largest registry that was weighed.
func (p page) PerMachine(detail string) string {
	var last report.Row
	for _, row := range p.Rows {
		if row.Measure == "memory" && row.Store == peer.Machreg && row.Size >= last.Size {
			last = row
		}
	}
	if detail == "" {
		return fmt.Sprintf("%.0f", last.Cost)
	}
	if detail == "heap/file" {
		return fmt.Sprintf("%.1f", last.Details[detail])
	}
	return fmt.Sprintf("%.0f", last.Details[detail])
}

// Fit is how many machines fit into a file of that many MiB.
func (p page) Fit(mib float64) string {
	for _, row := range slices.Backward(p.Rows) {
		if row.Measure == "memory" && row.Store == peer.Machreg {
			return fmt.Sprintf("%.1f million", mib*(1<<20)/row.Details["file B"]/1e6)
		}
	}
	return "an unknown number of"
}

// Budget is how many commits a second may happen at a size before each
// process that follows them spends a tenth of one core on reloading.
func (p page) Budget(machines float64) string {
	v, ok := p.curve("reload", peer.Machreg).at(machines)
	if !ok {
		return "an unknown number of"
	}
	return fmt.Sprintf("%.3g", 0.1*1e9/v)
}
