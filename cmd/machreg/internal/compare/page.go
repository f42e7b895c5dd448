package compare

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"strings"
)

//go:embed page.html
var pageText string

var pageTemplate = template.Must(template.New("page").Parse(pageText))

// page is what the template shows.
type page struct {
	*Report
	Verdict  []verdict
	Plots    []figure
	Notes    []string
	Names    []string
	Rows     []row
	Failures []string
}

// verdict is what a contestant did with the writes that it acknowledged.
type verdict struct {
	Series int
	Name   string
	Text   string
	Wrong  bool
	About  string
}

type row struct {
	Label string
	Under bool // it belongs to the line above
	Cells []cell
}

type cell struct {
	Text  string
	Wrong bool
}

// WritePage writes the report as one page of HTML that refers to nothing
// outside of itself.
func (r *Report) WritePage(w io.Writer) error {
	plots, err := r.figures()
	if err != nil {
		return err
	}
	p := page{Report: r, Plots: plots, Notes: r.Notes()}
	for i := range r.Results {
		res := &r.Results[i]
		p.Names = append(p.Names, res.Name)
		p.Verdict = append(p.Verdict, verdict{i, res.Name, res.verdict(), res.Lost > 0, res.About})
		for _, text := range res.FailureList() {
			p.Failures = append(p.Failures, res.Name+": "+text)
		}
	}
	for _, f := range Figures {
		label := strings.TrimLeft(f.Label, " ")
		next := row{Label: label, Under: label != f.Label}
		for i := range r.Results {
			next.Cells = append(next.Cells, cell{f.Of(&r.Results[i]), f.Wrong != nil && f.Wrong(&r.Results[i])})
		}
		p.Rows = append(p.Rows, next)
	}
	if err := pageTemplate.Execute(w, p); err != nil {
		return fmt.Errorf("write page: %w", err)
	}
	return nil
}

func (r *Result) verdict() string {
	switch {
	case r.Acknowledged == 0:
		return "acknowledged no write"
	case r.Lost == 0:
		return fmt.Sprintf("lost none of %s acknowledged writes", number(float64(r.Acknowledged)))
	}
	return fmt.Sprintf("lost %s of %s acknowledged writes", number(float64(r.Lost)), number(float64(r.Acknowledged)))
}
