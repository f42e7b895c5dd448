package registry_test

import (
	"bytes"
	"log/slog"
	"os"
	"strings"
	"testing"

	"github.com/machreg/machreg/registry"
)

// An entry that somebody broke by hand is gone for readers: the log says so,
// once.
func TestBrokenEntriesAreLogged(t *testing.T) {
	path := newPath(t)
	var log bytes.Buffer
	r := open(t, path, &registry.Options{
		Refresh: registry.RefreshNever,
		Logger:  slog.New(slog.NewTextHandler(&log, nil)),
	})
	add(t, r, "a", "b")
	lines := func() int {
		registry.DrainLogs(r.Registry)
		return strings.Count(log.String(), "cannot be used")
	}
	if lines() != 0 {
		t.Fatalf("logged before there is a broken entry: %s", &log)
	}
	broken := strings.Replace(string(mustRead(t, path)), `"host":"`, `"host":"-`, 1)
	if err := os.WriteFile(path, []byte(broken), 0o644); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := r.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if lines() != 1 || !strings.Contains(log.String(), "name=a") {
		t.Errorf("after a was broken the log is %q, want one line that names it", log.String())
	}
	add(t, r, "c")
	if lines() != 1 {
		t.Errorf("the next write logs it again: %s", &log)
	}
	log.Reset()
	r = open(t, path, &registry.Options{Logger: slog.New(slog.NewTextHandler(&log, nil)), ReadOnly: true, Refresh: registry.RefreshNever})
	if lines() != 1 {
		t.Errorf("a handle that opens such a file logs %q", log.String())
	}
}
