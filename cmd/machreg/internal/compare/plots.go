package compare

import (
	"bytes"
	"fmt"
	"html/template"
	"image/color"
	"math"
	"strings"
	"time"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// A plot is small enough to be read on a phone as it is. In points.
const (
	plotWidth  vg.Length = 350
	plotHeight vg.Length = 230
	barHeight  vg.Length = 34 // with the gap to the next
)

// Colours are drawn as stand-ins, which are replaced by what the page's style
// says, since that depends on whether the reader wants light or dark.
var gridColor = color.RGBA{R: 1, G: 1, B: 1, A: 255}

func seriesColor(i int) color.RGBA { return color.RGBA{R: 2, G: 2, B: uint8(i), A: 255} }

// restyle turns what is drawn into a part of the page.
func restyle(svg string, series int) string {
	_, svg, _ = strings.Cut(svg, "<svg")
	_, svg, _ = strings.Cut(svg, ">") // the size is the page's business
	pairs := []string{
		"#010101", "var(--grid)", "#000000", "currentColor",
		"font-family:Liberation Sans;", "", // the page's own
	}
	for i := range series {
		pairs = append(pairs, fmt.Sprintf("#0202%02X", i), fmt.Sprintf("var(--c%d)", i))
	}
	return strings.NewReplacer(pairs...).Replace(svg)
}

// figure is one plot of the page.
type figure struct {
	Title, Note string
	SVG         template.HTML
	Lines       bool // which need to be told apart
}

// figures draws all plots of which there is something to show.
func (r *Report) figures() ([]figure, error) {
	var all []figure
	bars := barHeight * vg.Length(len(r.Results))
	for _, f := range []struct {
		title, note string
		height      vg.Length
		draw        func(*plot.Plot) bool
	}{
		{"Acknowledged writes that are gone", "less is better, and none is what was promised", bars,
			r.bars(func(res *Result) float64 { return float64(res.Lost) })},
		{"Writes per second", "more is better", bars, r.bars(func(res *Result) float64 { return res.WritesPerSecond })},
		{"Reads per second", "more is better", bars, r.bars(func(res *Result) float64 { return res.ReadsPerSecond })},
		{"Write latency", "by percentile; lower is better", plotHeight, r.quantiles(func(res *Result) *Histogram { return &res.tally.Write })},
		{"Read latency", "by percentile; lower is better", plotHeight, r.quantiles(func(res *Result) *Histogram { return &res.tally.Read })},
		{"Staleness of reads in other processes", "by percentile; where there is no line, reads are fresh", plotHeight,
			r.quantiles(func(res *Result) *Histogram { return &res.stale })},
		{"Writes per second, round by round", "what goes up and down together is the machine's doing", plotHeight, r.rounds},
	} {
		p := newPlot()
		if !f.draw(p) {
			continue
		}
		canvas := vgsvg.New(plotWidth, f.height)
		// The first and last labels of an axis stick out.
		p.Draw(draw.Crop(draw.New(canvas), 6, -16, 2, -4))
		var svg bytes.Buffer
		if _, err := canvas.WriteTo(&svg); err != nil {
			return nil, fmt.Errorf("plot %q: %w", f.title, err)
		}
		all = append(all, figure{Title: f.title, Note: f.note, Lines: f.height == plotHeight, SVG: template.HTML(fmt.Sprintf(
			`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %g %g" role="img" aria-label="%s">%s`,
			plotWidth.Points(), f.height.Points(), template.HTMLEscapeString(f.title), restyle(svg.String(), len(r.Results))))})
	}
	return all, nil
}

func newPlot() *plot.Plot {
	sans := font.Font{Typeface: "Liberation", Variant: "Sans", Size: 11}
	p := plot.New()
	p.BackgroundColor = nil
	p.TextHandler = text.Plain{Fonts: font.DefaultCache}
	for _, axis := range []*plot.Axis{&p.X, &p.Y} {
		axis.Tick.Label.Font = sans
		axis.Label.TextStyle.Font = sans
		axis.Tick.Length = 3
		axis.Padding = 2
	}
	return p
}

// bars draws one bar for each contestant, the first on top.
func (r *Report) bars(value func(*Result) float64) func(*plot.Plot) bool {
	return func(p *plot.Plot) bool {
		most := 0.0
		var names []string
		labels := plotter.XYLabels{}
		for i := range r.Results {
			res := &r.Results[len(r.Results)-1-i]
			v := value(res)
			most = max(most, v)
			names = append(names, res.Name)
			bar, err := plotter.NewBarChart(plotter.Values{v}, barHeight*0.6)
			if err != nil { // it is not finite
				return false
			}
			bar.Horizontal, bar.XMin, bar.LineStyle.Width = true, float64(i), 0
			bar.Color = seriesColor(len(r.Results) - 1 - i)
			p.Add(bar)
			labels.XYs = append(labels.XYs, plotter.XY{X: v, Y: float64(i)})
			labels.Labels = append(labels.Labels, number(v))
		}
		if most == 0 {
			most = 1
		}
		marks, err := plotter.NewLabels(labels)
		if err != nil {
			return false
		}
		for i := range marks.TextStyle {
			marks.TextStyle[i].Font = p.X.Tick.Label.Font
			marks.TextStyle[i].YAlign = text.YCenter
		}
		marks.Offset.X = 5
		p.Add(marks)
		p.NominalY(names...)
		p.Y.Width, p.Y.Padding = 0, 6
		p.X.Min, p.X.Max = 0, most*1.25 // room for the figures
		p.Y.Min, p.Y.Max = -0.5, float64(len(names))-0.5
		p.HideX()
		return true
	}
}

// percentiles are where a distribution is looked at, at equal distances.
var percentiles = []struct {
	q     float64
	label string
}{{0.25, "25 %"}, {0.5, "50 %"}, {0.75, "75 %"}, {0.9, "90 %"}, {0.99, "99 %"}, {0.999, "99.9 %"}, {1, "100 %"}}

// quantiles draws a line for each contestant, durations on a logarithmic scale.
func (r *Report) quantiles(of func(*Result) *Histogram) func(*plot.Plot) bool {
	return func(p *plot.Plot) bool {
		low, high := math.Inf(1), 0.0
		for i := range r.Results {
			h := of(&r.Results[i])
			var points plotter.XYs
			for x, at := range percentiles {
				if d := float64(h.Quantile(at.q)); d > 0 {
					points = append(points, plotter.XY{X: float64(x), Y: d})
					low, high = min(low, d), max(high, d)
				}
			}
			if len(points) > 0 && !addLine(p, i, points) {
				return false
			}
		}
		if high == 0 {
			return false
		}
		var ticks []plot.Tick
		for x, at := range percentiles {
			ticks = append(ticks, plot.Tick{Value: float64(x), Label: at.label})
		}
		p.X.Tick.Marker = plot.ConstantTicks(ticks)
		p.X.Min, p.X.Max = 0, float64(len(percentiles)-1)
		p.Y.Scale, p.Y.Tick.Marker = plot.LogScale{}, decades{}
		p.Y.Min = math.Pow(10, math.Floor(math.Log10(low)))
		p.Y.Max = math.Pow(10, math.Ceil(math.Log10(high*1.01)))
		addGrid(p)
		return true
	}
}

// decades marks the powers of ten of nanoseconds.
type decades struct{}

func (decades) Ticks(low, high float64) (ticks []plot.Tick) {
	for v := low; v <= high*1.01; v *= 10 {
		ticks = append(ticks, plot.Tick{Value: v, Label: roundSpan(time.Duration(math.Round(v)))})
	}
	return ticks
}

func roundSpan(d time.Duration) string {
	for _, u := range []struct {
		unit time.Duration
		name string
	}{{time.Second, "s"}, {time.Millisecond, "ms"}, {time.Microsecond, "µs"}} {
		if d >= u.unit {
			return fmt.Sprintf("%d %s", d/u.unit, u.name)
		}
	}
	return fmt.Sprintf("%d ns", d)
}

// rounds draws the writes of each round.
func (r *Report) rounds(p *plot.Plot) bool {
	longest, most := 0, 0.0
	for i, res := range r.Results {
		var points plotter.XYs
		for n, round := range res.Rounds {
			points = append(points, plotter.XY{X: float64(n + 1), Y: round.WritesPerSecond})
			most = max(most, round.WritesPerSecond)
		}
		longest = max(longest, len(points))
		if len(points) > 0 && !addLine(p, i, points) {
			return false
		}
	}
	if longest < 2 || most == 0 {
		return false
	}
	p.X.Tick.Marker = whole{}
	p.Y.Tick.Marker = thousands{}
	p.X.Min, p.X.Max, p.Y.Min, p.Y.Max = 1, float64(longest), 0, most*1.1
	addGrid(p)
	return true
}

// whole marks round numbers only, and at most ten of them.
type whole struct{}

func (whole) Ticks(low, high float64) (ticks []plot.Tick) {
	step := math.Ceil((high - low) / 10)
	for v := low; v <= high; v += max(step, 1) {
		ticks = append(ticks, plot.Tick{Value: v, Label: number(v)})
	}
	return ticks
}

// thousands sets them apart.
type thousands struct{}

func (thousands) Ticks(low, high float64) []plot.Tick {
	ticks := plot.DefaultTicks{}.Ticks(low, high)
	for i := range ticks {
		if ticks[i].Label != "" {
			ticks[i].Label = number(ticks[i].Value)
		}
	}
	return ticks
}

func addLine(p *plot.Plot, series int, points plotter.XYs) bool {
	line, dots, err := plotter.NewLinePoints(points)
	if err != nil {
		return false
	}
	line.Color, line.Width = seriesColor(series), vg.Points(2)
	dots.Color, dots.Shape, dots.Radius = seriesColor(series), draw.CircleGlyph{}, vg.Points(2.5)
	p.Add(line, dots)
	return true
}

func addGrid(p *plot.Plot) {
	grid := plotter.NewGrid()
	grid.Vertical.Color, grid.Horizontal.Color = gridColor, gridColor
	grid.Vertical.Width, grid.Horizontal.Width = vg.Points(0.5), vg.Points(0.5)
	p.Add(grid)
}
