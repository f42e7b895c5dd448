package compare

import "time"

// timer reads the shared clock at the price of a process's own, which is an
// order of magnitude less. Both advance alike.
type timer struct {
	shared int64
	own    time.Time
}

func newTimer() timer { return timer{clock(), time.Now()} }

// now is the shared clock's time in nanoseconds.
func (t timer) now() int64 { return t.shared + int64(time.Since(t.own)) }

// clockCost is what reading the time costs here: it is part of every latency
// that is reported.
func clockCost() time.Duration {
	const n = 1000
	t := newTimer()
	begin := time.Now()
	for range n {
		t.now()
	}
	return time.Since(begin) / n
}
