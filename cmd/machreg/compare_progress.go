package main

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/machreg/machreg/cmd/machreg/internal/compare"
	"github.com/machreg/machreg/cmd/machreg/internal/terminal"
)

// bar shows on a terminal how far a comparison is. Where stderr is none it does
// nothing.
type bar struct {
	app *app

	mu   sync.Mutex // guards what follows
	now  compare.Progress
	at   time.Time // when it began
	stop chan struct{}
	done chan struct{}
}

func (a *app) newBar() *bar { return &bar{app: a} }

// show notes the progress and keeps the line moving.
func (b *bar) show(p compare.Progress) {
	if !b.app.err.TTY() {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.now, b.at = p, time.Now()
	if b.stop == nil {
		b.stop, b.done = make(chan struct{}), make(chan struct{})
		go b.draw()
	}
}

func (b *bar) draw() {
	defer close(b.done)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		b.mu.Lock()
		line := barLine(b.now, time.Since(b.at), b.app.err.Width())
		b.mu.Unlock()
		b.app.err.Printf("\r%s\x1b[K", line)
		b.app.err.Flush()
		select {
		case <-tick.C:
		case <-b.stop:
			return
		}
	}
}

// barLine is the bar some time after p; it takes less than width columns.
func barLine(p compare.Progress, since time.Duration, width int) string {
	const cells = 24
	done := float64(p.Done) + min(float64(since)/float64(p.Window), 1)
	share := done / float64(p.Total)
	full := min(int(share*cells), cells)
	left := time.Duration((float64(p.Total) - done) * float64(p.Window)).Round(time.Second)
	line := fmt.Sprintf("[%s%s] %3.0f %%  %s", strings.Repeat("#", full), strings.Repeat("-", cells-full), 100*share, p.Contestant)
	if p.Rounds > 0 {
		line += fmt.Sprintf("  round %d of %d, %v left", p.Round, p.Rounds, left)
	}
	return terminal.Truncate(line, width-1)
}

// clear takes the bar away.
func (b *bar) clear() {
	if b.stop == nil {
		return
	}
	close(b.stop)
	<-b.done
	b.app.err.Printf("\r\x1b[K")
	b.app.err.Flush()
}
