package proptest

import (
	"fmt"
	"io"
	"strings"
	"testing"
)

// capabilities is what a subject can do beyond the minimum.
type capabilities struct {
	closer, refresher, versioned, latest, transactional, saveBreaker bool
}

func capabilitiesOf(s Subject) (c capabilities) {
	_, c.closer = s.(io.Closer)
	_, c.refresher = s.(Refresher)
	_, c.versioned = s.(Versioned)
	_, c.latest = s.(Latest)
	_, c.transactional = s.(Transactional)
	_, c.saveBreaker = s.(SaveBreaker)
	return c
}

// report says what is not checked, and why.
func (c config) report(t testing.TB, can capabilities) {
	var left []string
	note := func(lacking bool, format string, args ...any) {
		if lacking {
			left = append(left, fmt.Sprintf(format, args...))
		}
	}
	note(!can.versioned, "revisions, conditional writes, kept snapshots: it is not Versioned")
	note(!can.transactional, "transactions: it is not Transactional")
	note(!can.latest, "linearizable reads: it is not Latest")
	note(!can.refresher, "refresh: it is not a Refresher")
	note(!can.saveBreaker, "failing saves: it is not a SaveBreaker")
	note(!c.shared, "several handles, opening again: it is not Shared")
	note(c.shared && !can.closer, "opening again: it is not an io.Closer")
	note(c.file == "", "the file, foreign writers, corruption and repair: there is no File")
	note(c.processes == "", "several processes: no Processes")
	note(c.alone, "concurrency: it is Sequential")
	for _, d := range Differences {
		note(c.tolerated[d.Name], "%s, tolerated: %s", d.Name, d.Baseline)
	}
	if left == nil {
		t.Log("everything is checked")
		return
	}
	t.Logf("not checked:\n\t%s", strings.Join(left, "\n\t"))
}
