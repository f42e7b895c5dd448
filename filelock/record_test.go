package filelock_test

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/machreg/machreg/filelock"
)

// recordOf makes a line with a valid checksum of any body.
func recordOf(word, body string) []byte {
	sum := crc32.Checksum([]byte(body), crc32.MakeTable(crc32.Castagnoli))
	return fmt.Appendf(nil, "%s %s %08x\n", word, body, sum)
}

func TestParseRecord(t *testing.T) {
	const body = `{"pid":4242,"host":"host1","program":"machreg apply","since":1700000000000000000}`
	none, damaged := filelock.ErrNoHolder, errors.New("damaged")
	for _, tt := range []struct {
		name string
		data []byte
		err  error
	}{
		{"whole", recordOf("held", body), nil},
		{"more behind the line", append(recordOf("held", body), "ost\"} 12345678\n\x00"...), nil},
		{"released", recordOf("free", body), none},
		{"empty", nil, none},
		{"no line end", bytes.TrimSuffix(recordOf("held", body), []byte("\n")), damaged},
		{"half", recordOf("held", body)[:20], damaged},
		{"one byte", []byte("h"), damaged},
		{"zeros", make([]byte, 200), damaged},
		{"other word", recordOf("hell", body), damaged},
		{"wrong checksum", []byte("held " + body + " 00000000\n"), damaged},
		{"no checksum", []byte("held " + body + "\n"), damaged},
		{"no json", recordOf("held", "pid 4242"), damaged},
		{"other json", recordOf("held", `[1]`), damaged},
		{"null", recordOf("held", `null`), damaged},
		{"pid 0", recordOf("held", `{"pid":0}`), damaged},
		{"negative pid", recordOf("held", `{"pid":-1}`), damaged},
		{"huge pid", recordOf("held", `{"pid":99999999999999999999}`), damaged},
		{"long host", recordOf("held", `{"pid":1,"host":"`+strings.Repeat("x", 300)+`"}`), damaged},
		{"long program", recordOf("held", `{"pid":1,"program":"`+strings.Repeat("x", 300)+`"}`), damaged},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h, err := filelock.ParseRecord(tt.data)
			switch {
			case tt.err == nil && err != nil, errors.Is(tt.err, none) && !errors.Is(err, none),
				tt.err == damaged && (err == nil || errors.Is(err, none)):
				t.Errorf("error = %v, want %v", err, tt.err)
			case tt.err == nil && (h.PID != 4242 || h.Host != "host1" || h.Program != "machreg apply" || h.Since.Unix() != 1700000000):
				t.Errorf("record = %+v", h)
			}
		})
	}
}

// TestParseTornRecord mixes two records, as an unlucky reader sees them: it gets
// one of them, or an error.
func TestParseTornRecord(t *testing.T) {
	a := filelock.Holder{PID: 7, Host: "a", Program: "first", Since: time.Unix(1, 0)}
	b := filelock.Holder{PID: 123456, Host: "host-b", Program: "the second program", Since: time.Unix(1_700_000_000, 5)}
	ra, rb := filelock.EncodeRecord(a), filelock.EncodeRecord(b)
	same := func(x, y filelock.Holder) bool {
		return x.PID == y.PID && x.Host == y.Host && x.Program == y.Program && x.Since.Equal(y.Since)
	}
	whole := 0
	for _, pair := range [][2][]byte{{ra, rb}, {rb, ra}} {
		for cut := range max(len(ra), len(rb)) + 1 {
			old, now := pair[0], pair[1]
			mix := bytes.Clone(now[:min(cut, len(now))])
			if cut < len(old) {
				mix = append(mix, old[cut:]...)
			}
			h, err := filelock.ParseRecord(mix)
			if err == nil && !same(h, a) && !same(h, b) {
				t.Errorf("cut at %d of %q: got %+v, which nobody wrote", cut, mix, h)
			}
			if err == nil {
				whole++
			}
		}
	}
	if whole < 4 {
		t.Errorf("only %d of the mixes were whole records", whole)
	}
}

func TestParseRandomRecord(t *testing.T) {
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 0))
	record := filelock.EncodeRecord(filelock.Holder{PID: 4242, Host: "host1", Program: "p", Since: time.Unix(1, 0)})
	for range 20_000 {
		data := bytes.Clone(record)
		for range 1 + rng.IntN(3) {
			data[rng.IntN(len(data))] = byte(rng.Uint32())
		}
		data = data[:rng.IntN(len(data)+1)]
		h, err := filelock.ParseRecord(data)
		if err == nil && (h.PID != 4242 || h.Host != "host1" || h.Program != "p") {
			t.Fatalf("seed %d: %q parsed as %+v", seed, data, h)
		}
	}
}

func TestHolderText(t *testing.T) {
	since := time.Now().Add(-12 * time.Second)
	for _, tt := range []struct {
		holder filelock.Holder
		want   string
	}{
		{filelock.Holder{PID: 4242, Host: "host1", Program: "machreg apply", Since: since, Alive: filelock.Running},
			"pid 4242 (machreg apply) on host1 for 12s"},
		{filelock.Holder{PID: 4242, Host: "host1", Program: "machreg apply", Since: since, Alive: filelock.Stopped},
			"pid 4242 (machreg apply) on host1 for 12s, stopped"},
		{filelock.Holder{PID: 4242, Host: "host1", Program: "machreg apply", Since: since, Alive: filelock.NotRunning},
			"pid 4242 (machreg apply) on host1, which took it 12s ago and is not running"},
		{filelock.Holder{PID: 1, Host: "h\x1b[31m", Program: "p\n\u202eq\x00\xff\U000e0041é", Since: since},
			`pid 1 (p\x0a\u202eq\x00\xff\U000e0041é) on h\x1b[31m for 12s`},
		{filelock.Holder{PID: 1, Host: "h", Program: "p", Since: time.Now().Add(time.Hour)}, "pid 1 (p) on h for 0s"},
	} {
		if got := tt.holder.String(); got != tt.want {
			t.Errorf("String() = %q, want %q", got, tt.want)
		}
	}
	err := &filelock.TimeoutError{Path: "/x/r.lock", Timeout: 30 * time.Second, Waited: 30 * time.Second,
		Holder: &filelock.Holder{PID: 4242, Host: "host1", Program: "machreg apply", Since: since}}
	const want = `timed out after 30s waiting for lock "/x/r.lock": held by pid 4242 (machreg apply) on host1 for 12s`
	if err.Error() != want {
		t.Errorf("TimeoutError = %q, want %q", err, want)
	}
}

func TestHolderOfProgramWithStrangeName(t *testing.T) {
	l := newLock(t, &filelock.Options{Program: "\x1b]0;x\x07" + strings.Repeat("é", 500) + "\xff"})
	h := mustLock(t, l)
	defer h.Unlock()
	got := must[filelock.Holder](t)(l.Holder())
	if s := got.String(); strings.ContainsAny(s, "\x1b\x07") || !utf8.ValidString(s) || len(s) > 400 {
		t.Errorf("holder is called %q", s)
	}
}

func TestHolderElsewhereIsUnknown(t *testing.T) {
	l := newLock(t, nil)
	mustUnlock(t, mustLock(t, l))
	record := filelock.EncodeRecord(filelock.Holder{PID: os.Getpid(), Host: "another-host.invalid", Program: "p", Since: time.Now()})
	if err := os.WriteFile(l.Path()+filelock.HolderSuffix, record, 0o644); err != nil {
		t.Fatal(err)
	}
	if got := must[filelock.Holder](t)(l.Holder()); got.Alive != filelock.LivenessUnknown {
		t.Errorf("a process of another host is %v, want unknown", got.Alive)
	}
}

func TestReusedPIDIsNotTheHolder(t *testing.T) {
	me := os.Getpid()
	start := filelock.StartToken(me)
	if start == "" {
		t.Skip("NOT TESTED: this system does not tell when a process started")
	}
	if got := filelock.LivenessOf(me, start); got != filelock.Running {
		t.Errorf("this process is %v, want running", got)
	}
	if got := filelock.LivenessOf(me, start+"1"); got != filelock.NotRunning {
		t.Errorf("an older process with this PID is %v, want not running", got)
	}
}

// TestUnwritableRecordDoesNotMatter: the record is a courtesy.
func TestUnwritableRecordDoesNotMatter(t *testing.T) {
	l := newLock(t, nil)
	mustUnlock(t, mustLock(t, l))
	name := l.Path() + filelock.HolderSuffix
	if err := os.WriteFile(name, []byte("garbage"), 0o644); err != nil {
		t.Fatal(err)
	}
	if got, err := l.Holder(); err == nil || errors.Is(err, filelock.ErrNoHolder) {
		t.Errorf("Holder() of garbage = %+v, %v, want an error of its own", got, err)
	}
	h := mustLock(t, l)
	if got := must[filelock.Holder](t)(l.Holder()); got.PID != os.Getpid() {
		t.Errorf("Holder() = %+v, want this process", got)
	}
	mustUnlock(t, h)
}
