//go:build linux || darwin || freebsd

package page_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/machreg/machreg/internal/page"
)

// newPage is where a page can be; the test that cannot have one is skipped.
func newPage(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "machines.json.page")
	if err := page.New(path, 0).Create(); errors.Is(err, page.ErrUnsupported) {
		t.Skipf("NOT TESTED: %v", err)
	} else if err != nil {
		t.Fatal(err)
	}
	return path
}

// process is what one process knows of a page: a mapping of its own.
type process struct {
	t testing.TB
	*page.Page
}

func newProcess(t testing.TB, path string) process {
	t.Helper()
	p := process{t, page.New(path, 0)}
	p.Check()
	return p
}

// publish is what a writer does to the page, around a rename.
func (p process) publish(revision uint64, rename func()) {
	p.t.Helper()
	if err := p.Begin(revisionOf(revision)); err != nil {
		p.t.Fatalf("Begin: %v", err)
	}
	if rename != nil {
		rename()
	}
	p.End(page.Published)
}

func revisionOf(n uint64) page.Revision { return page.Revision{Number: n, Sum: uint32(3 * n)} }

// mustRecord wants the record to be that of publish(revision).
func (p process) mustRecord(revision uint64) {
	p.t.Helper()
	want := revisionOf(revision)
	if got, err := p.Record(); got.Published != want || got.Reserved != want || revision > 0 && got.Old || err != nil {
		p.t.Errorf("Record() = %+v, %v, want %v", got, err, want)
	}
}

// token is what a reader remembers of a file that it has validated.
type token struct {
	mapping  *page.Mapping
	sequence uint64
}

// validate is what a reader does: the file is read between the two loads.
func (p process) validate() (tok token, ok bool) {
	p.t.Helper()
	p.Check()
	m := p.Mapping()
	if m == nil {
		return token{}, false
	}
	before := m.Sequence()
	return token{m, before}, before%2 == 0 && m.Sequence() == before
}

func (p process) mustValidate() token {
	p.t.Helper()
	tok, ok := p.validate()
	if !ok {
		_, err := p.State()
		p.t.Fatalf("a page with no writer at work does not validate: %v", err)
	}
	return tok
}

// latest reports whether the token says that nothing was published since.
func (tok token) latest() bool { return tok.mapping.Sequence() == tok.sequence }

func TestPublishInvalidates(t *testing.T) {
	path := newPage(t)
	writer, reader := newProcess(t, path), newProcess(t, path)
	writer.publish(41, nil)
	tok := reader.mustValidate()
	if !tok.latest() {
		t.Fatal("a token is refused with nothing published")
	}
	writer.publish(42, func() {
		if tok.latest() {
			t.Error("a token is valid while a writer renames")
		}
		if _, ok := reader.validate(); ok {
			t.Error("a reader validates while a writer renames")
		}
	})
	if tok.latest() {
		t.Error("a token is valid after a revision was published")
	}
	reader.mustValidate()
	reader.mustRecord(42)
}

// What End returns validates what was published, for the writer itself.
func TestEndValidates(t *testing.T) {
	path := newPage(t)
	writer, other := newProcess(t, path), newProcess(t, path)
	if err := writer.Begin(revisionOf(7)); err != nil {
		t.Fatal(err)
	}
	m, sequence := writer.End(page.Published)
	if tok := (token{m, sequence}); m == nil || !tok.latest() {
		t.Fatalf("End() = %v, %d, want what validates", m, sequence)
	}
	other.publish(8, nil)
	if (token{m, sequence}).latest() {
		t.Error("what End returned is valid after another writer published")
	}
}

// A writer that died in its odd phase leaves a page that validates nothing
// until the next writer is done.
func TestWriterDiesBetweenBumps(t *testing.T) {
	path := newPage(t)
	dead, reader, next := newProcess(t, path), newProcess(t, path), newProcess(t, path)
	tok := reader.mustValidate()
	if err := dead.Begin(revisionOf(7)); err != nil {
		t.Fatal(err)
	}
	if _, ok := reader.validate(); ok || tok.latest() {
		t.Error("a page that was left odd validates")
	}
	next.publish(2, nil)
	if tok.latest() {
		t.Error("a token from before the death is valid after the repair")
	}
	reader.mustValidate()
}

// Without the odd phase a reader that looked before the rename and one that
// looked after it hold the same token for different revisions.
func TestNoOddPhaseIsNoticed(t *testing.T) {
	path := newPage(t)
	for _, weak := range []bool{false, true} {
		writer, behind, ahead := newProcess(t, path), newProcess(t, path), newProcess(t, path)
		writer.NoOddPhase = weak
		tok := behind.mustValidate()
		stale := false
		writer.publish(2, func() {
			_, ok := ahead.validate() // sees the new file
			stale = ok && tok.latest()
		})
		if stale != weak {
			t.Errorf("NoOddPhase = %v: stale read = %v", weak, stale)
		}
	}
}

// The page is taken away under a writer and a reader that have it mapped.
func TestDamage(t *testing.T) {
	truncate := func(size int64) func(t *testing.T, path string) {
		return func(t *testing.T, path string) { must(t, os.Truncate(path, size)) }
	}
	damages := []struct {
		name   string
		damage func(t *testing.T, path string)
	}{
		{"deleted", func(t *testing.T, path string) { must(t, os.Remove(path)) }},
		{"moved", func(t *testing.T, path string) { must(t, os.Rename(path, path+".old")) }},
		{"replaced by another page", func(t *testing.T, path string) {
			must(t, page.New(path+".new", 0).Create())
			must(t, os.Rename(path+".new", path))
		}},
		{"replaced by rubbish", func(t *testing.T, path string) {
			must(t, os.WriteFile(path+".new", []byte("rubbish"), 0o666))
			must(t, os.Rename(path+".new", path))
		}},
		{"replaced by a symbolic link", func(t *testing.T, path string) {
			must(t, os.Rename(path, path+".old"))
			must(t, os.Symlink(path+".old", path))
		}},
		{"truncated", truncate(0)},
		{"truncated behind the sequence", truncate(100)},
		{"truncated in the sequence", truncate(20)},
		{"truncated before the sequence", truncate(10)},
		{"zeroed", func(t *testing.T, path string) {
			truncate(0)(t, path)
			truncate(4096)(t, path)
		}},
		{"overwritten", func(t *testing.T, path string) {
			f, err := os.OpenFile(path, os.O_WRONLY, 0)
			must(t, err)
			_, err = f.Write(make([]byte, 4096))
			must(t, errors.Join(err, f.Close()))
		}},
	}
	// Who publishes next: somebody who had the page mapped or, if the damage
	// leaves the file where it is, also somebody who had not. Whether the
	// reader has looked again in between must make no difference, nor whether
	// the writer's process has.
	for _, d := range damages {
		for _, looks := range []string{"nobody", "reader", "writer"} {
			for _, fresh := range []bool{false, true} {
				name := d.name + "/writer knew it/" + looks + " looks"
				if fresh {
					name = d.name + "/writer is new/" + looks + " looks"
				}
				t.Run(name, func(t *testing.T) {
					path := newPage(t)
					writer, reader := newProcess(t, path), newProcess(t, path)
					writer.publish(1, nil)
					tok := reader.mustValidate()
					before, err := os.Lstat(path)
					must(t, err)
					d.damage(t, path)
					if looks == "reader" {
						if again, ok := reader.validate(); ok {
							tok = again
						}
					}
					if looks == "writer" {
						writer.Check()
					}
					after, err := os.Lstat(path)
					inPlace := err == nil && os.SameFile(before, after)
					if fresh {
						if !inPlace && looks == "nobody" {
							return // known limit: nothing can reach the reader's page
						}
						writer = newProcess(t, path)
					}
					writer.publish(2, nil)
					if tok.latest() {
						t.Error("a token from before the damage is valid after the next publish")
					}
					tok = reader.mustValidate()
					writer.publish(3, nil)
					if tok.latest() {
						t.Error("a token from after the repair is valid after another publish")
					}
					if _, err := reader.State(); err != nil {
						t.Errorf("State() = %v after the repair, want nil", err)
					}
				})
			}
		}
	}
}

// A page that comes back as it was must not make an old token valid for what
// is published on it next.
func TestOldCopyPutBack(t *testing.T) {
	path := newPage(t)
	writer, reader := newProcess(t, path), newProcess(t, path)
	writer.publish(1, nil)
	old, err := os.ReadFile(path)
	must(t, err)
	writer.publish(2, nil)
	tok := reader.mustValidate()
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	must(t, err)
	_, err = f.Write(old)
	must(t, errors.Join(err, f.Close()))
	writer.publish(2, nil) // counts as it did the first time
	if tok.latest() {
		t.Error("a token of the other life is valid")
	}
}

// Truncation between Begin and End.
func TestTruncatedInOddPhase(t *testing.T) {
	path := newPage(t)
	writer, reader := newProcess(t, path), newProcess(t, path)
	tok := reader.mustValidate()
	if err := writer.Begin(revisionOf(7)); err != nil {
		t.Fatal(err)
	}
	must(t, os.Truncate(path, 0))
	if m, sequence := writer.End(page.Published); m != nil {
		t.Errorf("End() = %v, %d on a truncated page, want nil", m, sequence)
	}
	if tok.latest() {
		t.Error("a token is valid after a revision was published")
	}
	if _, err := reader.State(); err == nil {
		t.Error("State() = nil with a truncated page")
	}
	writer.publish(3, nil)
	reader.mustValidate()
}

// A page that is gone at the end of the odd phase stays odd: the next writer
// may be one that never had it.
func TestDeletedInOddPhase(t *testing.T) {
	path := newPage(t)
	writer, reader := newProcess(t, path), newProcess(t, path)
	tok := reader.mustValidate()
	writer.publish(2, func() { must(t, os.Remove(path)) })
	if tok.latest() || tok.mapping.Sequence()%2 == 0 {
		t.Error("a page that was deleted in the odd phase is even again")
	}
}

// Registries that share a page have a record each, and a publish of one makes
// what readers of the other validated invalid.
func TestSharedPage(t *testing.T) {
	path := newPage(t)
	const registries = 200 // more than there is room for
	var all []process
	for i := range registries {
		p := process{t, page.New(path, uint64(i))}
		p.Check()
		all = append(all, p)
	}
	all[1].publish(7, nil)
	tok := all[1].mustValidate()
	all[2].publish(1000, nil)
	if tok.latest() {
		t.Error("a token is valid after another registry published at the same lock")
	}
	all[1].mustRecord(7)
	all[2].mustRecord(1000)
	for i, p := range all[3:] {
		p.publish(uint64(i+1), nil)
		p.mustRecord(uint64(i + 1))
	}
	all[1].publish(8, nil)
	all[1].mustRecord(8)
	all[2].mustRecord(1000)
}

// A writer that does not map the page keeps it up to date for those that do,
// and the other way round.
func TestUnmapped(t *testing.T) {
	path := newPage(t)
	writer, reader := process{t, page.Unmapped(path, 0)}, newProcess(t, path)
	writer.mustRecord(0)
	tok := reader.mustValidate()
	writer.publish(2, func() {
		if tok.latest() {
			t.Error("a token is valid while an unmapped writer renames")
		}
		if _, ok := reader.validate(); ok {
			t.Error("a reader validates while an unmapped writer renames")
		}
	})
	if tok.latest() {
		t.Error("a token is valid after an unmapped writer published")
	}
	reader.mustRecord(2)
	reader.mustValidate()
	reader.publish(3, nil)
	writer.mustRecord(3)
	for _, p := range []process{reader, writer} {
		p.SetDurable(41)
		for _, q := range []process{reader, writer} {
			if r, err := q.Record(); r.Durable != 41 || err != nil {
				t.Errorf("Record() = %+v, %v, want 41 to be durable", r, err)
			}
		}
		reader.SetDurable(0)
	}
}

// A revision is reserved before the rename, and stays so if its writer dies; it
// is free again if it was not published.
func TestReserved(t *testing.T) {
	path := newPage(t)
	writer, reader := newProcess(t, path), newProcess(t, path)
	writer.publish(1, nil)
	want := page.Record{Published: revisionOf(1), Reserved: revisionOf(3)}
	must(t, writer.Begin(revisionOf(3)))
	for _, p := range []process{reader, newProcess(t, path), {t, page.Unmapped(path, 0)}} {
		if got, err := p.Record(); got != want || err != nil {
			t.Errorf("while a writer publishes: Record() = %+v, %v, want %+v", got, err, want)
		}
	}
	writer.End(page.NotPublished)
	reader.mustRecord(1)
	must(t, writer.Begin(revisionOf(3)))
	must(t, reader.Begin(revisionOf(4))) // the one before died
	reader.End(page.Published)
	writer.mustRecord(4)
}

// A process that died while it made a page leaves a file that the next writer
// removes.
func TestSweep(t *testing.T) {
	path := newPage(t)
	left := path + ".12345.tmp"
	must(t, os.WriteFile(left, nil, 0o666))
	newProcess(t, path).Sweep()
	if _, err := os.Lstat(left); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%q after Sweep: %v, want it to be gone", left, err)
	}
	if _, err := os.Lstat(path); err != nil {
		t.Error(err)
	}
}

// Whatever keeps a writer from finding out whether there is a page keeps it from
// writing, too.
func TestFailsClosed(t *testing.T) {
	gone := filepath.Join(t.TempDir(), "gone")
	file := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(file, nil, 0o666))
	for _, dir := range []string{gone, file} {
		p := page.New(filepath.Join(dir, "machines.json.page"), 0)
		if err := p.Begin(revisionOf(1)); err == nil {
			t.Errorf("Begin() = nil with %q as the directory, want an error", dir)
		}
	}
}

func TestAbsent(t *testing.T) {
	path := newPage(t)
	must(t, os.Remove(path))
	p := newProcess(t, path)
	if since, err := p.State(); !errors.Is(err, page.ErrAbsent) || !since.IsZero() || p.Had() || !p.Repairable() {
		t.Errorf("State() = %v, %v; Had() = %v, Repairable() = %v; want absent from the beginning", err, since, p.Had(), p.Repairable())
	}
	p.mustRecord(0)
	p.publish(2, nil)
	if !p.Had() {
		t.Error("Had() = false after Begin")
	}
	p.mustRecord(2)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
