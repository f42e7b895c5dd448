package growth

import (
	"fmt"
	"image/color"
	"io"
	"math"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"

	"github.com/machreg/machreg/cmd/bench/internal/peer"
	"github.com/machreg/machreg/cmd/bench/internal/report"
	"github.com/machreg/machreg/cmd/internal/wholefile"
)

// styles are told apart without colours, too: by the glyph.
var styles = map[string]struct {
	color color.RGBA
	glyph draw.GlyphDrawer
}{
	peer.Machreg:        {color.RGBA{0x00, 0x5a, 0xb5, 0xff}, draw.CircleGlyph{}},
	peer.Floor:          {color.RGBA{0x80, 0x80, 0x80, 0xff}, draw.PlusGlyph{}},
	"the file":          {color.RGBA{0x80, 0x80, 0x80, 0xff}, draw.PlusGlyph{}},
	peer.Baseline:       {color.RGBA{0xdc, 0x32, 0x20, 0xff}, draw.CrossGlyph{}},
	peer.BaselineLocked: {color.RGBA{0xdc, 0x32, 0x20, 0xff}, draw.CrossGlyph{}},
	"encoding/json":     {color.RGBA{0x99, 0x4f, 0x00, 0xff}, draw.SquareGlyph{}},
	"bbolt":             {color.RGBA{0x1a, 0x85, 0x2f, 0xff}, draw.PyramidGlyph{}},
	peer.SQLite:         {color.RGBA{0xd3, 0x5f, 0xb7, 0xff}, draw.BoxGlyph{}},
}

func (f figure) plot(path string) error {
	p := plot.New()
	p.Title.Text = f.Title
	p.X.Label.Text = "machines"
	p.Y.Label.Text = f.Axis
	p.X.Scale, p.Y.Scale = plot.LogScale{}, plot.LogScale{}
	p.X.Tick.Marker = decades(func(x float64) string { return report.Count(int(x)) })
	p.Y.Tick.Marker = decades(f.tick)
	p.Legend.Top, p.Legend.Left = true, true
	p.Legend.Padding = vg.Points(2)
	p.Add(plotter.NewGrid())
	low, high := math.Inf(1), 0.0
	for _, c := range f.Curves {
		xys := make(plotter.XYs, len(c.Points))
		for i, pt := range c.Points {
			xys[i] = plotter.XY{X: pt.Size, Y: pt.Value}
			low, high = min(low, pt.Value), max(high, pt.Value)
		}
		line, points, err := plotter.NewLinePoints(xys)
		if err != nil {
			return err
		}
		style := styles[c.Store]
		line.Color, points.Color = style.color, style.color
		line.Width = vg.Points(1.2)
		if c.Store == peer.Machreg {
			line.Width = vg.Points(2.2)
		}
		if style.glyph != nil {
			points.Shape = style.glyph
		}
		points.Radius = vg.Points(3)
		p.Add(line, points)
		p.Legend.Add(c.Store, line, points)
	}
	// Whole decades, and one more on top for the legend.
	p.Y.Min = math.Pow(10, math.Floor(math.Log10(low)))
	p.Y.Max = math.Pow(10, math.Ceil(math.Log10(high))+1)
	canvas := vgsvg.New(7*vg.Inch, 4.5*vg.Inch)
	// Room for what sticks out: half of the last label, and the title.
	p.Draw(draw.Crop(draw.New(canvas), vg.Points(4), -vg.Points(24), vg.Points(4), -vg.Points(6)))
	return wholefile.Write(path, func(w io.Writer) error {
		_, err := canvas.WriteTo(w)
		return err
	})
}

// decades ticks at powers of ten, with minor ticks between.
type decades func(float64) string

// Ticks implements [plot.Ticker].
func (label decades) Ticks(low, high float64) []plot.Tick {
	var ticks []plot.Tick
	for x := math.Pow(10, math.Floor(math.Log10(low))); x <= high*1.0001; x *= 10 {
		if x >= low*0.9999 {
			ticks = append(ticks, plot.Tick{Value: x, Label: label(math.Round(x*1e6) / 1e6)})
		}
		for i := 2.0; i < 10; i++ {
			if x*i >= low && x*i <= high {
				ticks = append(ticks, plot.Tick{Value: x * i})
			}
		}
	}
	return ticks
}

func (f figure) tick(x float64) string {
	names := []string{"ns", "µs", "ms", "s"}
	if f.unit == "B" {
		names = []string{"B", "kB", "MB", "GB"}
	}
	i := 0
	for i < len(names)-1 && x >= 999.5 {
		x /= 1000
		i++
	}
	const gap = "\u00a0" // keeps the label off the ticks in wider fonts
	return fmt.Sprintf("%g %s", math.Round(x), names[i]) + gap + gap
}
