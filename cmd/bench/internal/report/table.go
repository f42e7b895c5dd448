package report

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
)

// WriteTable prints rows grouped by shape.
func (r *Report) WriteTable(w io.Writer) error {
	fmt.Fprintf(w, "%s\n%s/%s, %d CPUs, %s, %s; medians, all stores of a group in turns\n",
		r.Command, r.Machine.OS, r.Machine.Arch, r.Machine.CPUs, r.Machine.FileSystem, r.Machine.GoVersion)
	fmt.Fprint(w, "/floor: cost in floors, lower is better; ×base: times the baseline's speed, higher is better\n\n")
	for i := 0; i < len(r.Rows); {
		end := i
		for end < len(r.Rows) && r.Rows[end].Shape == r.Rows[i].Shape {
			end++
		}
		if err := writeGroup(w, r.Rows[i:end]); err != nil {
			return err
		}
		i = end
	}
	return nil
}

// writeGroup prints what was measured in one shape, and below it the details.
func writeGroup(w io.Writer, rows []Row) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "%s: %d laps\n", rows[0].Shape, rows[0].Laps)
	fmt.Fprintf(tw, "  %-24s\tcost\tquartiles\trate\t/floor\t×base\n", "")
	for _, row := range rows {
		fmt.Fprintf(tw, "  %s\t%s\t%s…%s\t%s\t%s\t%s\n", row.Store,
			Amount(row.Cost, row.Unit), Amount(row.Low, row.Unit), Amount(row.High, row.Unit),
			rate(row), ratio(row.OverFloor), ratio(row.TimesBaseline))
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	for _, row := range rows {
		if len(row.Details) > 0 {
			fmt.Fprintf(w, "  %s: %s\n", row.Store, details(row.Details))
		}
	}
	fmt.Fprintln(w)
	return nil
}

// String names a shape for a table.
func (s Shape) String() string {
	parts := []string{strings.ToUpper(s.Measure)}
	add := func(n int, unit, units string) {
		switch {
		case n == 1:
			parts = append(parts, "1 "+unit)
		case n > 0:
			parts = append(parts, Count(n)+" "+units)
		}
	}
	add(s.Size, "machine", "machines")
	add(s.Processes, "process", "processes")
	add(s.Goroutines, "goroutine", "goroutines")
	if s.Reads > 0 {
		parts = append(parts, fmt.Sprintf("%g %% reads", s.Reads))
	}
	return strings.Join(parts, ", ")
}

// Count writes a number with separators.
func Count(n int) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// Amount writes a cost with three digits and the unit that suits it.
func Amount(x float64, unit string) string {
	if unit == "B" {
		return fmt.Sprintf("%.0f B", x)
	}
	for _, u := range []struct {
		name string
		size float64
	}{{"s", 1e9}, {"ms", 1e6}, {"µs", 1e3}} {
		if x >= u.size {
			return digits(x/u.size) + " " + u.name
		}
	}
	return digits(x) + " ns"
}

func digits(x float64) string {
	switch {
	case x >= 100:
		return fmt.Sprintf("%.0f", x)
	case x >= 10:
		return fmt.Sprintf("%.1f", x)
	}
	return fmt.Sprintf("%.2f", x)
}

func ratio(x float64) string {
	if x == 0 {
		return "-"
	}
	return digits(x)
}

func rate(row Row) string {
	if row.Unit != "ns" || row.Cost == 0 {
		return "-"
	}
	perSecond := 1e9 / row.Cost
	switch {
	case perSecond >= 1e6:
		return digits(perSecond/1e6) + "M/s"
	case perSecond >= 1e3:
		return digits(perSecond/1e3) + "k/s"
	}
	return digits(perSecond) + "/s"
}

func details(d map[string]float64) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(d)) {
		parts = append(parts, name+" "+strings.TrimSuffix(digits(d[name]), ".00"))
	}
	return strings.Join(parts, ", ")
}
