package compare

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Figure is one line of a report's table.
type Figure struct {
	Label string
	Of    func(*Result) string
	Wrong func(*Result) bool // it is one that nobody wants; nil for never
}

// Figures are the lines of a report's table.
var Figures = []Figure{
	{Label: "reads/s", Of: func(r *Result) string { return number(r.ReadsPerSecond) }},
	{Label: "  to baseline", Of: func(r *Result) string { return times(r.ReadRatio) }},
	{Label: "read p50", Of: func(r *Result) string { return span(r.Read, r.Read.P50NS) }},
	{Label: "read p99", Of: func(r *Result) string { return span(r.Read, r.Read.P99NS) }},
	{Label: "read p99.9", Of: func(r *Result) string { return span(r.Read, r.Read.P999NS) }},
	{Label: "writes/s", Of: func(r *Result) string { return number(r.WritesPerSecond) }},
	{Label: "  to baseline", Of: func(r *Result) string { return times(r.WriteRatio) }},
	{Label: "write p50", Of: func(r *Result) string { return span(r.Write, r.Write.P50NS) }},
	{Label: "write p99", Of: func(r *Result) string { return span(r.Write, r.Write.P99NS) }},
	{Label: "write p99.9", Of: func(r *Result) string { return span(r.Write, r.Write.P999NS) }},
	{Label: "stale reads", Of: staleReads},
	{Label: "  stale for, p99", Of: func(r *Result) string { return span(r.Staleness.Latency, r.Staleness.P99NS) }},
	{Label: "  stale for, most", Of: func(r *Result) string { return span(r.Staleness.Latency, r.Staleness.MaxNS) }},
	{Label: "file updates per write", Of: updates},
	{Label: "writes acknowledged", Of: func(r *Result) string { return number(float64(r.Acknowledged)) }},
	{Label: "  of them LOST", Of: func(r *Result) string { return number(float64(r.Lost)) },
		Wrong: func(r *Result) bool { return r.Lost > 0 }},
	{Label: "values no write made", Of: func(r *Result) string { return number(float64(r.Mixed)) },
		Wrong: func(r *Result) bool { return r.Mixed > 0 }},
	{Label: "lock wait per update", Of: lockWait},
	{Label: "lock timeouts", Of: func(r *Result) string { return number(float64(r.LockTimeouts)) },
		Wrong: func(r *Result) bool { return r.LockTimeouts > 0 }},
	{Label: "other failures", Of: func(r *Result) string { return number(float64(r.FailureCount() - r.LockTimeouts)) },
		Wrong: func(r *Result) bool { return r.FailureCount() > r.LockTimeouts }},
	{Label: "processes killed", Of: func(r *Result) string { return number(float64(r.Kills)) }},
}

// nothing stands for a figure that there is none of.
const nothing = "-"

func staleReads(r *Result) string {
	if r.Staleness.Count == 0 {
		return nothing
	}
	return digits(100*(1-float64(r.Staleness.Fresh)/float64(r.Staleness.Count))) + " %"
}

func updates(r *Result) string {
	if r.UpdatesPerWrite == 0 {
		return nothing
	}
	return fmt.Sprintf("%.2f", r.UpdatesPerWrite)
}

func lockWait(r *Result) string {
	if r.LockWaitNS == nil {
		return nothing
	}
	return short(*r.LockWaitNS)
}

func span(of Latency, ns int64) string {
	if of.Count == 0 {
		return nothing
	}
	return short(ns)
}

// short is a duration in three digits.
func short(ns int64) string {
	d := time.Duration(ns)
	switch {
	case d == 0:
		return "0"
	case d < time.Microsecond:
		return fmt.Sprintf("%d ns", ns)
	case d < time.Millisecond:
		return digits(float64(ns)/1e3) + " µs"
	case d < time.Second:
		return digits(float64(ns)/1e6) + " ms"
	}
	return digits(float64(ns)/1e9) + " s"
}

func digits(v float64) string {
	places := 2
	if v >= 10 {
		places = 1
	}
	if v >= 100 {
		places = 0
	}
	return strconv.FormatFloat(v, 'f', places, 64)
}

// number is v with its thousands set apart, and without digits that mean
// nothing.
func number(v float64) string {
	if v < 10 && v != math.Trunc(v) {
		return digits(v)
	}
	text := strconv.FormatFloat(math.Round(v), 'f', 0, 64)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

func times(q *float64) string {
	if q == nil {
		return nothing
	}
	return "× " + digits(*q)
}

// Notes say what the figures mean and what they were taken on.
func (r *Report) Notes() []string {
	w := &r.Workload
	notes := []string{
		fmt.Sprintf("%s: %d processes with %d goroutines each, %s machines, %s of all operations are reads",
			w.Preset, w.Processes, w.Goroutines, number(float64(w.Machines)), share(w.ReadRatio)),
		fmt.Sprintf("%v for each in %d rounds, on %s; seed %d", w.Duration, w.Rounds, r.Host, w.Seed),
		timed(r),
		"the baseline does not count its waits for the lock; each of its writes is a file update by design",
	}
	if w.Latest {
		notes = append(notes, "machreg reads with Latest; the baseline has no such read")
	}
	if w.Kill > 0 {
		notes = append(notes, fmt.Sprintf("a process is killed about every %v; what it did in its last %v is missing from rates and latencies",
			w.Kill, tallyEvery))
	}
	return notes
}

func timed(r *Report) string {
	which := "every read is timed by itself"
	if r.TimedEvery > 1 {
		which = fmt.Sprintf("one read in %d is timed by itself", r.TimedEvery)
	}
	return fmt.Sprintf("%s, which adds about %d ns", which, r.ClockNS)
}

func share(ratio float64) string { return strconv.FormatFloat(100*ratio, 'f', -1, 64) + " %" }

func (h Host) String() string {
	parts := []string{fmt.Sprintf("%d cores", h.Cores)}
	for _, p := range []string{h.CPU, h.System, h.Go, h.FileSystem} {
		if p != "" {
			parts = append(parts, p)
		}
	}
	return strings.Join(parts, ", ")
}

// FailureList says what failed and how often, the most frequent first.
func (r *Result) FailureList() (list []string) {
	texts := make([]string, 0, len(r.Failures))
	for text := range r.Failures {
		texts = append(texts, text)
	}
	slices.SortFunc(texts, func(a, b string) int {
		if d := int(r.Failures[b]) - int(r.Failures[a]); d != 0 {
			return d
		}
		return strings.Compare(a, b)
	})
	for _, text := range texts {
		list = append(list, fmt.Sprintf("%d × %s", r.Failures[text], text))
	}
	return list
}
