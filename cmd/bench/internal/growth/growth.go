// Package growth turns a report into a page that shows how costs grow with the
// number of machines: plots, tables, and where the design ends.
package growth

import (
	_ "embed"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/template"

	"github.com/machreg/machreg/cmd/bench/internal/peer"
	"github.com/machreg/machreg/cmd/bench/internal/report"
	"github.com/machreg/machreg/cmd/internal/wholefile"
)

//go:embed page.md.tmpl
var pageText string

// Point is one measured value at one size.
type Point struct{ Size, Value float64 }

// Curve is the points of one store, by size.
type Curve struct {
	Store  string
	Points []Point
}

// figure is one plot and its table.
type figure struct {
	Name   string // of its file
	Title  string
	Axis   string
	Curves []Curve
	unit   string
}

// Write makes GROWTH.md and its plots in dir.
func Write(dir string, r *report.Report) (err error) {
	p := page{Report: r, figures: figures(r)}
	if err := os.MkdirAll(filepath.Join(dir, "growth"), 0o755); err != nil {
		return err
	}
	for _, f := range p.figures {
		if len(f.Curves) == 0 {
			return fmt.Errorf("growth: nothing was measured for %q", f.Title)
		}
		if err := f.plot(filepath.Join(dir, "growth", f.Name+".svg")); err != nil {
			return fmt.Errorf("growth: plot %q: %w", f.Name, err)
		}
	}
	t, err := template.New("page").Parse(pageText)
	if err != nil {
		return err
	}
	return wholefile.Write(filepath.Join(dir, "GROWTH.md"), func(w io.Writer) error { return t.Execute(w, p) })
}

func figures(r *report.Report) []figure {
	cost := func(row report.Row) float64 { return row.Cost }
	return []figure{
		{"read", "One Get", "time a read", curves(r, "get", cost), "ns"},
		{"commit", "One durable Add", "time a write", curves(r, "add", cost), "ns"},
		{"reload", "Seeing one changed machine", "time a reload", curves(r, "reload one", cost), "ns"},
		{"memory", "Live heap of one process", "bytes", curves(r, "memory", func(row report.Row) float64 {
			return row.Cost * float64(row.Size)
		}), "B"},
	}
}

// curves collects the rows of one measure, store by store in the order of the
// report.
func curves(r *report.Report, measure string, value func(report.Row) float64) []Curve {
	var out []Curve
	for _, row := range r.Rows {
		if row.Measure != measure || strings.HasSuffix(row.Store, " latest") {
			continue
		}
		i := slices.IndexFunc(out, func(c Curve) bool { return c.Store == row.Store })
		if i < 0 {
			i = len(out)
			out = append(out, Curve{Store: row.Store})
		}
		size := float64(row.Size)
		if !slices.ContainsFunc(out[i].Points, func(p Point) bool { return p.Size == size }) {
			out[i].Points = append(out[i].Points, Point{size, value(row)})
		}
	}
	if measure == "memory" {
		out = append(out, fileSizes(r))
	}
	for _, c := range out {
		slices.SortFunc(c.Points, func(a, b Point) int { return int(a.Size - b.Size) })
	}
	return slices.DeleteFunc(out, func(c Curve) bool { return len(c.Points) == 0 })
}

func fileSizes(r *report.Report) Curve {
	c := Curve{Store: "the file"}
	for _, row := range r.Rows {
		if row.Measure == "memory" && row.Store == peer.Machreg {
			c.Points = append(c.Points, Point{float64(row.Size), row.Details["file B"] * float64(row.Size)})
		}
	}
	return c
}

// at interpolates on logarithmic scales; false outside of what was measured.
func (c Curve) at(size float64) (float64, bool) {
	for i := 1; i < len(c.Points); i++ {
		a, b := c.Points[i-1], c.Points[i]
		if a.Size <= size && size <= b.Size {
			part := math.Log(size/a.Size) / math.Log(b.Size/a.Size)
			return a.Value * math.Pow(b.Value/a.Value, part), true
		}
	}
	return 0, false
}

// reaches is the first size at which a condition on the curve's value holds,
// to two digits; 0 if it never does.
func (c Curve) reaches(holds func(size, value float64) bool) float64 {
	if len(c.Points) == 0 {
		return 0
	}
	const step = 1.02
	for size := c.Points[0].Size; size <= c.Points[len(c.Points)-1].Size; size *= step {
		if v, ok := c.at(size); ok && holds(size, v) {
			magnitude := math.Pow(10, math.Floor(math.Log10(size))-1)
			return math.Round(size/magnitude) * magnitude
		}
	}
	return 0
}
