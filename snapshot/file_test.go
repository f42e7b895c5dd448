package snapshot_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/machreg/machreg/internal/vfs"
	"github.com/machreg/machreg/snapshot"
)

type version = snapshot.Version[machine]

func fileIn(t *testing.T, dir string, opts snapshot.FileOptions) *snapshot.File[machine] {
	t.Helper()
	return newFile(filepath.Join(dir, "machines.json"), machines(t), opts)
}

func newFile(path string, codec *snapshot.Codec[machine], opts snapshot.FileOptions) *snapshot.File[machine] {
	return snapshot.NewFile(path, path, codec, opts)
}

func load(t *testing.T, f *snapshot.File[machine], prev *version) *version {
	t.Helper()
	v, err := f.Load(prev, nil)
	if err != nil {
		t.Fatalf("Load: %v", err)
	}
	t.Cleanup(func() { v.Close() })
	return v
}

// replace writes the next version, with one machine more or changed.
func replace(t *testing.T, f *snapshot.File[machine], prev *version, m machine) (*version, error) {
	t.Helper()
	edit := prev.Snapshot.Edit()
	edit.Apply(put(t, machines(t), m.Name, m))
	p, err := f.Prepare(prev, edit.Snapshot())
	if err != nil {
		return nil, err
	}
	if err := fence(p, prev); err != nil {
		return nil, errors.Join(err, p.Discard())
	}
	v, err := p.Publish()
	if err == nil {
		p.Release()
	}
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { v.Close() })
	return v, nil
}

// fence takes both steps before a publish.
func fence(p *snapshot.Pending[machine], prev *version) error {
	ok, err := p.LockVersion(prev)
	if err == nil && !ok {
		err = errLocked
	}
	if err != nil {
		return err
	}
	return p.Fence(prev)
}

var errLocked = errors.New("another writer has locked the version")

func mustReplace(t *testing.T, f *snapshot.File[machine], prev *version, m machine) *version {
	t.Helper()
	v, err := replace(t, f, prev, m)
	if err != nil {
		t.Fatalf("write %q: %v", m.Name, err)
	}
	return v
}

func unchanged(t *testing.T, f *snapshot.File[machine], v *version, want bool) {
	t.Helper()
	if got, err := f.Unchanged(v); got != want || err != nil {
		t.Errorf("Unchanged = %t, %v, want %t", got, err, want)
	}
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// onlyFile fails if a directory holds more than the registry file.
func onlyFile(t *testing.T, dir string) {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		if e.Name() != "machines.json" {
			t.Errorf("%s was left behind", e.Name())
		}
	}
}

func TestFile(t *testing.T) {
	dir := t.TempDir()
	f := fileIn(t, dir, snapshot.FileOptions{})
	none := load(t, f, nil)
	if none.Exists() || none.Snapshot.Revision() != 0 || none.Stamp() != (snapshot.Stamp{}) {
		t.Errorf("without a file: %+v", none)
	}
	unchanged(t, f, none, true)

	one := mustReplace(t, f, none, realistic(1))
	if !one.Exists() || one.Snapshot.Revision() != 1 {
		t.Errorf("after a write: exists %t, revision %d", one.Exists(), one.Snapshot.Revision())
	}
	unchanged(t, f, none, false)
	unchanged(t, f, one, true)
	onlyFile(t, dir)

	// Another handle sees the same; this one decodes nothing.
	other := load(t, f, nil)
	if other.Snapshot.Revision() != 1 || other.Parsed != 2 || other.Stamp() != one.Stamp() {
		t.Errorf("another handle: revision %d, parsed %d, stamp %+v, want %+v", other.Snapshot.Revision(), other.Parsed, other.Stamp(), one.Stamp())
	}
	if again := load(t, f, one); again.Parsed != 0 || again.Snapshot != one.Snapshot {
		t.Errorf("again: parsed %d", again.Parsed)
	}

	two := mustReplace(t, f, one, realistic(2))
	unchanged(t, f, one, false)
	if next := load(t, f, other); next.Parsed != 1 || next.Snapshot.Revision() != 2 || !snapshot.SameEntry(next.Snapshot, other.Snapshot, realistic(1).Name) {
		t.Errorf("the other handle's refresh: parsed %d, revision %d", next.Parsed, next.Snapshot.Revision())
	}
	if two.Stamp().ModTime <= one.Stamp().ModTime {
		t.Errorf("modification time %d after %d", two.Stamp().ModTime, one.Stamp().ModTime)
	}
}

func TestMissingFile(t *testing.T) {
	dir := t.TempDir()
	f := fileIn(t, dir, snapshot.FileOptions{})
	one := mustReplace(t, f, load(t, f, nil), realistic(1))
	if err := os.Remove(f.Path()); err != nil {
		t.Skipf("an open file cannot be removed here: %v", err)
	}
	unchanged(t, f, one, false)
	if v, err := f.Load(one, nil); !errors.Is(err, snapshot.ErrMissing) || !strings.Contains(err.Error(), strconv.Quote(f.Path())) {
		t.Errorf("Load = %v, %v, want ErrMissing", v, err)
	}
	if _, err := replace(t, f, one, realistic(2)); !errors.Is(err, snapshot.ErrChanged) {
		t.Errorf("a write over the missing file: %v, want ErrChanged", err)
	}
	onlyFile(t, dir)
	known := func() snapshot.Known { return snapshot.Known{Published: snapshot.Published{Revision: 7}} }
	if v, err := f.Load(nil, known); err != nil || v.Exists() || v.Snapshot.Revision() != 7 || !v.Snapshot.Edited() {
		t.Errorf("a first load after revision 7 was published: %+v, %v", v, err)
	}
}

// The pinned descriptor tells versions apart that agree in size and time.
func TestUnchangedSameSizeAndTime(t *testing.T) {
	dir := t.TempDir()
	f := fileIn(t, dir, snapshot.FileOptions{})
	one := mustReplace(t, f, load(t, f, nil), realistic(1))
	data := readFile(t, f.Path())
	when := time.Unix(0, one.Stamp().ModTime)
	// Long enough that a recycled inode number would come round.
	for i := range 50 {
		temp := filepath.Join(dir, "temp")
		writeFile(t, temp, data)
		if err := os.Chtimes(temp, when, when); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(temp, f.Path()); err != nil {
			t.Fatal(err)
		}
		if same, err := f.Unchanged(one); same || err != nil {
			t.Fatalf("Unchanged = %t, %v after replacement %d by an equal file", same, err, i)
		}
	}
	v := load(t, f, one)
	if v.Snapshot != one.Snapshot || v.Parsed != 0 {
		t.Errorf("an equal file is revision %d, parsed %d", v.Snapshot.Revision(), v.Parsed)
	}
	unchanged(t, f, v, true)
	if err := v.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	if vfs.InodesRecycle {
		unchanged(t, f, v, false) // it can no longer be told
	}
}

func TestUnchangedEditInPlace(t *testing.T) {
	f := fileIn(t, t.TempDir(), snapshot.FileOptions{})
	one := mustReplace(t, f, load(t, f, nil), realistic(1))
	when := time.Unix(0, one.Stamp().ModTime)
	data := readFile(t, f.Path())
	edited := strings.Replace(data, "id_ed25519", "id_rsa4096", 1)
	headed := strings.Replace(data, `"revision": 1`, `"revision": 2`, 1)
	for what, tt := range map[string]struct {
		text string
		when time.Time
	}{
		"later time":         {edited, when.Add(time.Microsecond)},
		"other size":         {edited + " ", when},
		"revision alone":     {headed, when},
		"earlier, same text": {data, when.Add(-time.Hour)},
	} {
		writeFile(t, f.Path(), data)
		if err := os.Chtimes(f.Path(), when, when); err != nil {
			t.Fatal(err)
		}
		unchanged(t, f, one, true)
		writeFile(t, f.Path(), tt.text)
		if err := os.Chtimes(f.Path(), tt.when, tt.when); err != nil {
			t.Fatal(err)
		}
		if same, err := f.Unchanged(one); same || err != nil {
			t.Errorf("%s: Unchanged = %t, %v", what, same, err)
		}
		if what == "revision alone" { // the stamp is the same: only Unchanged looks into the file
			continue
		}
		if _, err := replace(t, f, one, realistic(3)); !errors.Is(err, snapshot.ErrChanged) {
			t.Errorf("%s: a write for the version before: %v, want ErrChanged", what, err)
		}
	}
}

func TestModTimeAfterFuture(t *testing.T) {
	f := fileIn(t, t.TempDir(), snapshot.FileOptions{})
	v := mustReplace(t, f, load(t, f, nil), realistic(1))
	future := time.Date(2037, 1, 1, 0, 0, 0, 0, time.UTC) // os.Chtimes of a 32-bit system knows no later year
	if err := os.Chtimes(f.Path(), future, future); err != nil {
		t.Fatal(err)
	}
	v = load(t, f, v)
	for i := range 3 {
		before := v.Stamp().ModTime
		v = mustReplace(t, f, v, realistic(2+i))
		if got := v.Stamp().ModTime; got <= before || got > before+1000 {
			t.Errorf("modification time %d after %d", got, before)
		}
		info, err := os.Stat(f.Path())
		if err != nil || info.ModTime().UnixNano() != v.Stamp().ModTime {
			t.Errorf("the file's modification time is %v, %v, want %d", info.ModTime(), err, v.Stamp().ModTime)
		}
		unchanged(t, f, v, true)
	}
}

// coarse is a file system that keeps time in steps.
type coarse struct {
	vfs.FS
	step int64
}

type coarseFile struct {
	vfs.File
	step int64
}

func (c coarse) round(i vfs.Info, err error) (vfs.Info, error) {
	i.ModTime -= i.ModTime % c.step
	return i, err
}

func (c coarse) wrap(f vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	return coarseFile{f, c.step}, nil
}

func (c coarse) Stat(name string) (vfs.Info, error)  { return c.round(c.FS.Stat(name)) }
func (c coarse) Lstat(name string) (vfs.Info, error) { return c.round(c.FS.Lstat(name)) }
func (c coarse) Open(name string) (vfs.File, error)  { return c.wrap(c.FS.Open(name)) }
func (f coarseFile) Stat() (vfs.Info, error)         { return coarse{step: f.step}.round(f.File.Stat()) }
func (f coarseFile) SetModTime(ns int64) error       { return f.File.SetModTime(ns - ns%f.step) }
func (c coarse) Create(name string, perm fs.FileMode) (vfs.File, error) {
	return c.wrap(c.FS.Create(name, perm))
}

func TestModTimeOnCoarseFileSystem(t *testing.T) {
	for _, step := range []int64{100, 1e3, 1e9, 2e9} {
		f := fileIn(t, t.TempDir(), snapshot.FileOptions{FS: coarse{vfs.OS, step}})
		v := mustReplace(t, f, load(t, f, nil), realistic(0))
		for i := range 5 {
			before := v.Stamp().ModTime
			v = mustReplace(t, f, v, realistic(1+i))
			if got := v.Stamp().ModTime; got <= before {
				t.Errorf("in steps of %d: modification time %d after %d", step, got, before)
			}
			unchanged(t, f, v, true)
		}
	}
}

func TestMaxSize(t *testing.T) {
	dir := t.TempDir()
	f := fileIn(t, dir, snapshot.FileOptions{})
	v := mustReplace(t, f, load(t, f, nil), realistic(1))
	data := readFile(t, f.Path())
	exact := fileIn(t, dir, snapshot.FileOptions{MaxSize: int64(len(data))})
	same := load(t, exact, nil)
	less := fileIn(t, dir, snapshot.FileOptions{MaxSize: int64(len(data)) - 1})
	if v, err := less.Load(nil, nil); err == nil || !strings.Contains(err.Error(), "over the limit") || errors.Is(err, snapshot.ErrCorrupt) {
		t.Errorf("Load of one byte too many = %v, %v", v, err)
	}
	if _, err := replace(t, exact, same, realistic(2)); err == nil || !strings.Contains(err.Error(), "over the limit") {
		t.Errorf("a write of too many bytes: %v", err)
	}
	m := realistic(1)
	m.Host = strings.Replace(m.Host, "ci", "if", 1)
	if _, err := replace(t, exact, same, m); err != nil {
		t.Errorf("a write that fits exactly: %v", err)
	}
	if readFile(t, f.Path()) == data || len(readFile(t, f.Path())) != len(data) {
		t.Errorf("the file now holds %q", readFile(t, f.Path()))
	}
	unchanged(t, f, v, false)
	onlyFile(t, dir)
}

// A corrupt file is an error with its path and place, on a first load and on a
// refresh, and is left as it is.
func TestCorruptFile(t *testing.T) {
	dir := t.TempDir()
	f := fileIn(t, dir, snapshot.FileOptions{})
	good := mustReplace(t, f, load(t, f, nil), realistic(1))
	for _, tt := range corrupt {
		t.Run(tt.name, func(t *testing.T) {
			writeFile(t, f.Path(), tt.text)
			for _, prev := range []*version{nil, good} {
				_, err := f.Load(prev, nil)
				checkCorrupt(t, err, tt.line, tt.column, tt.reason)
				if !strings.HasPrefix(err.Error(), "registry file \""+f.Path()) && runtime.GOOS != "windows" {
					t.Errorf("the error does not name the file: %v", err)
				}
			}
			if _, err := replace(t, f, good, realistic(2)); !errors.Is(err, snapshot.ErrChanged) {
				t.Errorf("a write over it: %v, want ErrChanged", err)
			}
			if got := readFile(t, f.Path()); got != tt.text {
				t.Errorf("the file now holds %q", got)
			}
			onlyFile(t, dir)
		})
	}
	if m, ok := good.Snapshot.Get(realistic(1).Name); !ok || m != realistic(1) {
		t.Errorf("the last good snapshot holds %+v, %t", m, ok)
	}
}

// Which revision what is found stands for.
func TestAdopt(t *testing.T) {
	c := machines(t)
	f := fileIn(t, t.TempDir(), snapshot.FileOptions{})
	text := func(revision string, hosts ...string) string { // as somebody else writes it
		s := `{"version":1,"revision":` + revision + `,"machines":{"x":{"type":"local"}`
		for _, h := range hosts {
			s += `,"` + h + `":{"type":"ssh","host":"` + h + `"}`
		}
		return s + "}}"
	}
	ours := func(revision string, hosts ...string) string { // as this library writes it
		s := decode(t, c, []byte(text("0", hosts...)), nil).Snapshot
		data := strings.Replace(string(encode(t, s)), `"revision": 0`, `"revision": `+revision, 1)
		return string(sealed(data[:strings.Index(data, `"checksum"`)]))
	}
	published := func(file string) snapshot.Published { // what a record says of it
		var revision snapshot.Revision
		var sum uint32
		_, rest, _ := strings.Cut(file, `"revision": `)
		_, tail, _ := strings.Cut(file, "crc32c:")
		if _, err := fmt.Sscan(strings.SplitN(rest, ",", 2)[0], &revision); err != nil {
			t.Fatal(err)
		}
		if _, err := fmt.Sscanf(tail, "%x", &sum); err != nil {
			t.Fatal(err)
		}
		return snapshot.Published{Revision: revision, Sum: sum}
	}
	type known = snapshot.Known
	of := func(file string) known { return known{Published: published(file), Reserved: published(file)} }
	none, of42, of60 := known{}, of(ours("42", "a")), of(ours("60", "z"))
	old42 := of42
	old42.Old = true
	publishing43 := known{Published: of42.Published, Reserved: published(ours("43", "b"))}
	most := fmt.Sprint(snapshot.MaxRevision - 9)
	nearly := snapshot.MaxRevision - 9
	for what, tt := range map[string]struct {
		before, after string
		known         known
		want          snapshot.Revision
		edited        bool
		same          bool              // the entries
		next          snapshot.Revision // that a write makes
	}{
		"first, ours":                             {"", ours("42", "a"), none, 42, false, false, 43},
		"first, ours, as published":               {"", ours("42", "a"), of42, 42, false, false, 43},
		"first, ours, of that number":             {"", ours("42", "b"), of42, 42, true, false, 44},
		"first, ours, of another registry":        {"", ours("43", "b"), of42, 42, true, false, 45},
		"first, ours, later than when we started": {"", ours("43", "b"), old42, 43, false, false, 44},
		"first, ours, before when we started":     {"", ours("41", "b"), old42, 42, true, false, 44},
		"first, ours, another 42 of before":       {"", ours("42", "b"), old42, 42, true, false, 44},
		"first, ours, being published":            {"", ours("43", "b"), publishing43, 43, false, false, 44},
		"first, ours, of the number of that":      {"", ours("43", "c"), publishing43, 42, true, false, 45},
		"first, ours, not yet replaced":           {"", ours("42", "a"), publishing43, 42, false, false, 44},
		"first, ours, before what was published":  {"", ours("42", "a"), of60, 60, true, false, 62},
		"first, not ours":                         {"", text("42", "a"), none, 42, true, false, 44},
		"first, not ours, as published":           {"", text("42", "a"), of42, 42, true, false, 44},
		"first, not ours, before the published":   {"", text("42", "a"), of60, 60, true, false, 62},
		"first, not ours, claims more":            {"", text("70", "a"), of60, 60, true, false, 72},
		"first, not ours, hardly a revision left": {"", text(most, "a"), none, nearly, true, false, nearly + 2},
		"first, ours, hardly a revision left":     {"", ours(most, "a"), none, nearly, false, false, nearly + 1},
		"next":                                    {ours("42", "a"), ours("43", "a", "b"), none, 43, false, false, 44},
		"next, as published":                      {ours("42", "a"), ours("60", "z"), of60, 60, false, false, 61},
		"next, of another registry":               {ours("42", "a"), ours("50", "a", "b"), of42, 42, true, false, 52},
		"several on, all in vain":                 {ours("42", "a"), ours("50", "a"), none, 50, false, true, 51},
		"next, before what was published":         {ours("42", "a"), ours("43", "a", "b"), of60, 60, true, false, 62},
		"the same":                                {ours("42", "a"), ours("42", "a"), of42, 42, false, true, 43},
		"the same, before what was published":     {ours("42", "a"), ours("42", "a"), of60, 60, true, true, 62},
		"reformatted":                             {ours("42", "a"), text("42", "a"), of42, 42, false, true, 43},
		"reformatted, claims more":                {ours("42", "a"), text("50", "a"), of42, 42, false, true, 51},
		"another content of the same revision":    {ours("42", "a"), ours("42", "b"), none, 42, true, false, 44},
		"an older revision put back":              {ours("42", "a"), ours("41", "b"), none, 42, true, false, 44},
		"an older revision of the same":           {ours("42", "a"), ours("41", "a"), none, 42, false, true, 43},
		"edited":                                  {ours("42", "a"), text("42", "a", "b"), none, 42, true, false, 44},
		"edited again":                            {text("42", "a"), text("42", "a", "b"), none, 42, true, false, 44},
		"edited, put back":                        {text("42", "a", "b"), ours("42", "a"), of42, 42, false, false, 43},
		"edited, without a revision":              {ours("42", "a"), text("0", "b"), none, 42, true, false, 44},
		"edited, claims more":                     {ours("42", "a"), text("50", "b"), none, 42, true, false, 52},
		"edited, then written":                    {text("42", "b"), ours("44", "a"), none, 44, false, false, 45},
	} {
		t.Run(what, func(t *testing.T) {
			var prev *version
			if tt.before != "" {
				writeFile(t, f.Path(), tt.before)
				prev = load(t, f, nil)
			}
			writeFile(t, f.Path(), tt.after)
			v, err := f.Load(prev, func() known { return tt.known })
			if err != nil {
				t.Fatal(err)
			}
			defer v.Close()
			if got := v.Snapshot; got.Revision() != tt.want || got.Edited() != tt.edited {
				t.Errorf("revision %d, edited %t, want %d, %t", got.Revision(), got.Edited(), tt.want, tt.edited)
			}
			if prev != nil {
				if snapshot.SameEntries(prev.Snapshot, v.Snapshot) != tt.same {
					t.Errorf("the same entries: %t, want %t", !tt.same, tt.same)
				}
				if prev.Snapshot.After(v.Snapshot) {
					t.Error("what was loaded first is after what was loaded later")
				}
			}
			// Whatever was adopted can be written, as a revision that was never
			// handed out, and is read as it was counted.
			next := mustReplace(t, f, v, realistic(9))
			if again := load(t, f, nil); again.Snapshot.Revision() != tt.next || next.Snapshot.Revision() != tt.next {
				t.Errorf("then written as %d, read as %d, want %d", next.Snapshot.Revision(), again.Snapshot.Revision(), tt.next)
			}
		})
	}
}

// A file that is replaced between two looks at what is known is what was
// published between them.
func TestPublishedMeanwhile(t *testing.T) {
	f := fileIn(t, t.TempDir(), snapshot.FileOptions{})
	v := mustReplace(t, f, load(t, f, nil), realistic(1))
	for _, after := range []snapshot.Known{
		{Published: v.Published, Reserved: v.Published},
		{Published: snapshot.Published{Revision: 3, Sum: 3}, Reserved: snapshot.Published{Revision: 3, Sum: 3}},
	} {
		looks := 0
		got, err := f.Load(nil, func() snapshot.Known {
			if looks++; looks == 1 {
				return snapshot.Known{Reserved: snapshot.Published{Revision: 1, Sum: 1}}
			}
			return after
		})
		if err != nil || got.Snapshot.Revision() != 1 || got.Snapshot.Edited() {
			t.Errorf("with %+v known afterwards: revision %d, edited %t, %v", after, got.Snapshot.Revision(), got.Snapshot.Edited(), err)
		}
	}
}

// A file that claims the last revision can be read, and edited by hand, and says
// what to do when it is to be written.
func TestNoRevisionLeft(t *testing.T) {
	f := fileIn(t, t.TempDir(), snapshot.FileOptions{})
	for _, claim := range []snapshot.Revision{snapshot.MaxRevision - 1, snapshot.MaxRevision} {
		writeFile(t, f.Path(), fmt.Sprintf(`{"version":1,"revision":%d,"machines":{}}`, claim))
		v := load(t, f, nil)
		if v.Snapshot.Revision() != claim {
			t.Errorf("revision %d, want %d", v.Snapshot.Revision(), claim)
		}
		if _, err := replace(t, f, v, realistic(1)); err == nil || !strings.Contains(err.Error(), "no revision is left") {
			t.Errorf("written over a claim of %d: %v, want that no revision is left", claim, err)
		}
	}
	writeFile(t, f.Path(), fmt.Sprintf(`{"version":1,"revision":%d,"machines":{}}`, snapshot.MaxRevision+1))
	if _, err := f.Load(nil, nil); !errors.Is(err, snapshot.ErrCorrupt) {
		t.Errorf("a claim of %d: %v, want ErrCorrupt", snapshot.MaxRevision+1, err)
	}
}

// shrinking is a file system on which the file loses bytes while it is read.
type shrinking struct {
	vfs.FS
	times *int
}

type shrinkingFile struct {
	vfs.File
	times *int
}

func (s shrinking) Open(name string) (vfs.File, error) {
	f, err := s.FS.Open(name)
	if err != nil {
		return nil, err
	}
	return shrinkingFile{f, s.times}, nil
}

func (f shrinkingFile) ReadAt(p []byte, off int64) (int, error) {
	if *f.times > 0 {
		*f.times--
		if err := os.Truncate(f.Name(), int64(len(p))/2); err != nil {
			return 0, err
		}
	}
	return f.File.ReadAt(p, off)
}

// A file that somebody truncates while it is read is read again, and is not
// mistaken for a short one; only a writer without end is given up on.
func TestTruncatedWhileRead(t *testing.T) {
	times := 0
	f := fileIn(t, t.TempDir(), snapshot.FileOptions{FS: shrinking{vfs.OS, &times}})
	first := mustReplace(t, f, load(t, f, nil), realistic(1))
	data := readFile(t, f.Path())
	times = 1
	_, err := f.Load(first, nil)
	if !errors.Is(err, snapshot.ErrCorrupt) || times != 0 {
		t.Errorf("Load = %v, %d truncations left, want what is wrong with the shorter file", err, times)
	}
	writeFile(t, f.Path(), data)
	times = 1000
	if _, err := f.Load(first, nil); !errors.Is(err, snapshot.ErrChanged) || times == 0 {
		t.Errorf("Load = %v, want ErrChanged", err)
	}
}

func TestLeftovers(t *testing.T) {
	dir := t.TempDir()
	f := fileIn(t, dir, snapshot.FileOptions{})
	if got, err := fileIn(t, filepath.Join(dir, "none"), snapshot.FileOptions{}).Leftovers(); got != nil || err != nil {
		t.Errorf("Leftovers in no directory = %q, %v", got, err)
	}
	v := load(t, f, nil)
	edit := v.Snapshot.Edit()
	edit.Apply(put(t, machines(t), "a", machine{Type: "local"}))
	p, err := f.Prepare(v, edit.Snapshot())
	if err != nil {
		t.Fatal(err)
	}
	own, err := f.Leftovers()
	if err != nil || len(own) != 1 {
		t.Fatalf("Leftovers = %q, %v, want one", own, err)
	}
	if err := p.Discard(); err != nil {
		t.Errorf("Discard: %v", err)
	}
	if got, err := f.Leftovers(); len(got) > 0 || err != nil {
		t.Errorf("Leftovers after Discard = %q, %v", got, err)
	}
	random := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(own[0]), ".machines.json."), ".tmp")

	others := []string{
		"machines.json", "machines.json.tmp", ".machines.json.tmp", ".machines.json..tmp",
		".machines.json.1.tmp", ".machines.json." + random, ".machines.json." + random + ".tmp~",
		"machines.json." + random + ".tmp", ".machines.json.bak." + random + ".tmp",
		".machines.json.+" + random + ".tmp", ".machines.json.0" + random + ".tmp",
		".machines.json." + strings.ToUpper(random) + "Z.tmp", ".other.json." + random + ".tmp",
	}
	for _, name := range append(others, filepath.Base(own[0])) {
		writeFile(t, filepath.Join(dir, name), "x")
	}
	if got, err := f.Leftovers(); !slices.Equal(got, own) || err != nil {
		t.Errorf("Leftovers = %q, %v, want %q", got, err, own)
	}
	if n, err := f.Sweep(); n != 1 || err != nil {
		t.Errorf("Sweep = %d, %v, want 1", n, err)
	}
	list, err := os.ReadDir(dir)
	if err != nil || len(list) != len(others) {
		t.Errorf("%d files are left, %v, want %d", len(list), err, len(others))
	}
}
