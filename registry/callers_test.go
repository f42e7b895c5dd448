package registry_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/machreg/machreg/registry"
)

// The code that callers supply, and how it ends badly. What it does to the
// goroutine it runs on must not be done to one that others rely on.

var badEnds = map[string]struct {
	end  func()
	want outcome
}{
	"panic":  {func() { panic("caller's own") }, outcome{panicked: "caller's own"}},
	"goexit": {runtime.Goexit, outcome{}},
}

// fragile is a value all of whose code can be made to end badly.
type fragile struct {
	Text  text     `json:"text"`
	Words []string `json:"words"`
}

type text string

// trap has the code of a fragile value end badly in one place; where is empty
// for none.
type trap struct {
	where string
	end   func()
}

var trapped atomic.Pointer[trap]

func setTrap(t *testing.T, where string, end func()) {
	trapped.Store(&trap{where, end})
	t.Cleanup(func() { trapped.Store(nil) })
}

func spring(where string) {
	if tr := trapped.Load(); tr != nil && tr.where == where {
		tr.end()
	}
}

func (v text) MarshalText() ([]byte, error) {
	spring("marshal " + string(v))
	return []byte(v), nil
}

func (v *text) UnmarshalJSON(data []byte) error {
	spring("unmarshal " + string(data))
	if string(data) == "null" {
		return nil
	}
	return json.Unmarshal(data, (*string)(v))
}

func fragiles() registry.Schema[fragile] {
	return registry.Schema[fragile]{
		Collection: "values",
		Check: func(name string, v *fragile) error {
			spring("check " + name)
			return nil
		},
		Clone: func(v fragile) fragile {
			spring("clone " + string(v.Text))
			return fragile{v.Text, append([]string(nil), v.Words...)}
		},
	}
}

// Wherever a write's own code ends badly, the write's author alone learns of
// it, and nothing is left of the write.
func TestCallersCodeEndsItsCallAlone(t *testing.T) {
	for where, write := range map[string]func(r *registry.Registry[fragile]) error{
		// Of the value that a conflict reports.
		"clone old": func(r *registry.Registry[fragile]) error {
			_, err := r.Put(t.Context(), "old", fragile{Text: "bad"}, registry.IfAbsent())
			return err
		},
		"marshal bad": func(r *registry.Registry[fragile]) error {
			_, err := r.Put(t.Context(), "new", fragile{Text: "bad"})
			return err
		},
		"check bad": func(r *registry.Registry[fragile]) error {
			_, err := r.Put(t.Context(), "bad", fragile{})
			return err
		},
		"clone bad": func(r *registry.Registry[fragile]) error {
			_, err := registry.UpdateLocked(t.Context(), r, func(tx *registry.Tx[fragile]) error {
				if err := tx.Put("new", fragile{Text: "bad"}); err != nil {
					return err
				}
				_, err := tx.Get("new")
				return err
			})
			return err
		},
	} {
		for how, bad := range badEnds {
			t.Run(where+" "+how, func(t *testing.T) {
				path := newPath(t)
				mustWrite(t, path, `{"version":1,"values":{"old":{"text":"old","words":[],"unknown":1}}}`)
				r, err := registry.Open(path, fragiles(), nil)
				if err != nil {
					t.Fatal(err)
				}
				setTrap(t, where, bad.end)
				var wg sync.WaitGroup
				for i := range 8 {
					wg.Go(func() {
						if _, err := r.Put(t.Context(), fmt.Sprintf("good-%d", i), fragile{Text: "good"}); err != nil {
							t.Errorf("another write: %v", err)
						}
					})
				}
				if o := <-outcomeOf(func() error { return write(r) }); o != bad.want {
					t.Errorf("write ended with %+v, want %+v", o, bad.want)
				}
				wg.Wait()
				trapped.Store(nil)
				if v, err := r.Get("old"); err != nil || v.Text != "old" || r.Len() != 9 {
					t.Errorf("Get = %+v, %v of %d entries, want the old one of 9", v, err, r.Len())
				}
				if err := r.Close(); err != nil {
					t.Errorf("Close: %v", err)
				}
			})
		}
	}
}

// A value in a file whose code ends badly is in quarantine; the others are
// served, whoever reads the file.
func TestLoadingSurvivesCallersCode(t *testing.T) {
	for _, where := range []string{"check bad", `unmarshal "bad"`, "unmarshal null"} {
		for how, bad := range badEnds {
			t.Run(where+" "+how, func(t *testing.T) {
				path := newPath(t)
				content := func(n int) string {
					return fmt.Sprintf(`{"version":1,"values":{"good":{"text":"%d"},"bad":{"text":"bad"},"foreign":{"text":null,"unknown":1}}}`, n)
				}
				mustWrite(t, path, content(1))
				setTrap(t, where, bad.end)
				opened := outcomeOf(func() error {
					r, err := registry.Open(path, fragiles(), nil)
					if err != nil {
						return err
					}
					defer r.Close()
					if v, err := r.Get("good"); err != nil || v.Text != "1" {
						t.Errorf("Get = %+v, %v", v, err)
					}
					// By the handle's own goroutine.
					replaceFile(t, path, content(2))
					eventually(t, "the handle sees the second version", func() bool {
						v, err := r.Get("good")
						return err == nil && v.Text == "2"
					})
					// Under the lock.
					replaceFile(t, path, content(3))
					if _, err := r.Put(t.Context(), "more", fragile{Text: "more"}); err != nil {
						return err
					}
					if v, err := r.Get("good"); err != nil || v.Text != "3" {
						t.Errorf("Get = %+v, %v after a write", v, err)
					}
					q := r.Snapshot().Quarantine()
					if len(q) != 1 || q[0].Name == "good" || r.Len() != 3 {
						t.Errorf("%d entries are served and %+v in quarantine, want 3 and 1", r.Len(), q)
					}
					return nil
				})
				if o, want := <-opened, (outcome{returned: true}); o != want {
					t.Errorf("ended with %+v, want %+v", o, want)
				}
			})
		}
	}
}

// A Watch whose consumer ends badly holds nothing that others need.
func TestWatchBodyEndsBadly(t *testing.T) {
	for how, bad := range badEnds {
		t.Run(how, func(t *testing.T) {
			r := open(t, newPath(t), nil)
			for range 2 {
				if o := <-outcomeOf(func() error {
					for range r.Watch(t.Context(), registry.WithInitial()) {
						bad.end()
					}
					return nil
				}); o != bad.want {
					t.Errorf("watch ended with %+v, want %+v", o, bad.want)
				}
				add(t, r, "a")
				if _, err := r.Latest(t.Context()); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// badLogger is a slog.Handler that ends badly, or does not end, in each of its
// methods.
type badLogger struct {
	end  func()
	seen *atomic.Int64
}

func (l badLogger) Enabled(context.Context, slog.Level) bool {
	l.seen.Add(1)
	l.end()
	return true
}
func (l badLogger) Handle(context.Context, slog.Record) error { l.end(); return nil }
func (l badLogger) WithAttrs([]slog.Attr) slog.Handler        { l.end(); return l }
func (l badLogger) WithGroup(string) slog.Handler             { l.end(); return l }

// breakEntry makes the file hold one more entry that cannot be used.
func breakEntry(t testing.TB, path, name string) {
	t.Helper()
	entry := fmt.Sprintf("\"machines\": {\n%q: {\"type\":\"\"},\n", name)
	data := strings.Replace(string(mustRead(t, path)), "\"machines\": {\n", entry, 1)
	if err := os.WriteFile(path, []byte(data), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestLoggerEndsBadly(t *testing.T) {
	forever := make(chan struct{})
	defer close(forever)
	ends := map[string]func(){"blocks": func() { <-forever }}
	for how, bad := range badEnds {
		ends[how] = bad.end
	}
	for how, end := range ends {
		t.Run(how, func(t *testing.T) {
			path := newPath(t)
			logger := badLogger{func() {}, new(atomic.Int64)}
			var on atomic.Bool
			logger.end = func() {
				if on.Load() {
					end()
				}
			}
			on.Store(true)
			r, err := registry.OpenMachines(path, &registry.Options{Logger: slog.New(logger), Refresh: registry.RefreshNever})
			if err != nil {
				t.Fatal(err)
			}
			add(t, r, "a")
			for i := range 3 {
				breakEntry(t, path, fmt.Sprint("bad-", i))
				if _, err := r.Latest(t.Context()); err != nil { // may take the page's word for it
					t.Error(err)
				}
				if err := r.Refresh(t.Context()); err != nil {
					t.Error(err)
				}
				add(t, r, fmt.Sprint("b", i))
			}
			if st := r.Stats(); st.Quarantined != 3 {
				t.Errorf("%d in quarantine, want 3", st.Quarantined)
			}
			// A file that cannot be read is logged as well.
			good := string(mustRead(t, path))
			mustWrite(t, path, "{")
			if err := r.Refresh(t.Context()); !errors.Is(err, registry.ErrCorrupt) {
				t.Errorf("Refresh = %v, want ErrCorrupt", err)
			}
			if r.Health() == nil {
				t.Error("Health = nil with a corrupt file")
			}
			mustWrite(t, path, good)
			if err := r.Refresh(t.Context()); err != nil {
				t.Error(err)
			}
			if err := r.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
			if logger.seen.Load() == 0 && how != "blocks" {
				t.Error("the logger was not asked")
			}
		})
	}
}

// gatedLogger lets records through one by one.
type gatedLogger struct {
	slog.Handler
	gate <-chan struct{}
}

func (l gatedLogger) Handle(ctx context.Context, r slog.Record) error {
	<-l.gate
	return l.Handler.Handle(ctx, r)
}
func (l gatedLogger) WithAttrs(attrs []slog.Attr) slog.Handler {
	return gatedLogger{l.Handler.WithAttrs(attrs), l.gate}
}

// What a slow logger has no room for is counted, and the count is logged.
func TestSlowLoggerIsToldWhatItMissed(t *testing.T) {
	path := newPath(t)
	gate := make(chan struct{})
	var log strings.Builder
	r := open(t, path, &registry.Options{
		Logger:  slog.New(gatedLogger{slog.NewTextHandler(&log, nil), gate}),
		Refresh: registry.RefreshNever,
	})
	add(t, r, "a")
	const records = 300
	for i := range records / 2 {
		good := string(mustRead(t, path))
		mustWrite(t, path, fmt.Sprintf("{%d", i))
		if err := r.Refresh(t.Context()); !errors.Is(err, registry.ErrCorrupt) {
			t.Fatalf("Refresh = %v, want ErrCorrupt", err)
		}
		mustWrite(t, path, good)
		if err := r.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	close(gate)
	registry.DrainLogs(r.Registry)
	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	last := lines[len(lines)-1]
	var missed int
	if at := strings.Index(last, "count="); at < 0 || !strings.Contains(last, "dropped") {
		t.Fatalf("last record %q does not say what was dropped", last)
	} else if _, err := fmt.Sscanf(last[at:], "count=%d", &missed); err != nil {
		t.Fatal(err)
	}
	if got := len(lines) - 1 + missed; got != records {
		t.Errorf("%d records and %d dropped, want %d in all", len(lines)-1, missed, records)
	}
	if !strings.Contains(lines[0], "registry="+path) {
		t.Errorf("record %q does not name the registry", lines[0])
	}
}

// Thousands of entries that cannot be used make a few lines, and a count.
func TestManyBrokenEntriesAreCounted(t *testing.T) {
	path := newPath(t)
	const n = 20_000
	var b strings.Builder
	b.WriteString(`{"version":1,"machines":{"a":{"type":"t"}`)
	for i := range n {
		fmt.Fprintf(&b, ",\n\"q%05d\":{\"type\":\"\"}", i)
	}
	b.WriteString("}}")
	mustWrite(t, path, b.String())
	var log strings.Builder
	checks := 0
	schema := registry.MachineSchema()
	check := schema.Check
	schema.Check = func(name string, m *registry.Machine) error { checks++; return check(name, m) }
	r, err := registry.Open(path, schema, &registry.Options{Refresh: registry.RefreshNever, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	logged := func(want int, count string) {
		t.Helper()
		registry.DrainLogs(r)
		if got := strings.Count(log.String(), "\n"); got != want || !strings.Contains(log.String(), count) {
			t.Errorf("%d lines are logged, want %d, with %s", got, want, count)
		}
		log.Reset()
	}
	logged(11, fmt.Sprint("count=", n-10))
	// A write asks the schema about what it writes, and about nothing else.
	checks = 0
	for _, name := range []string{"b", "q00007"} {
		if _, err := r.Put(t.Context(), name, machineOf(name)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := r.Remove(t.Context(), "q00008"); err != nil {
		t.Fatal(err)
	}
	if checks > 10 {
		t.Errorf("three writes check %d values", checks)
	}
	logged(0, "")
	if got := testing.AllocsPerRun(10, func() { r.Stats() }); got > 20 {
		t.Errorf("Stats allocates %v times", got)
	}
	if st := r.Stats(); st.Quarantined != n-2 {
		t.Errorf("%d in quarantine, want %d", st.Quarantined, n-2)
	}
}
