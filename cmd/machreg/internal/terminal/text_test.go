package terminal_test

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/machreg/machreg/cmd/machreg/internal/terminal"
	"github.com/machreg/machreg/snapshot"
)

// hostile are texts that would do something to a terminal, and what is shown
// instead.
var hostile = []struct{ text, want string }{
	{"plain", "plain"},
	{"日本 häuser 👩‍💻", "日本 häuser 👩‍💻"},
	{"\x1b[31mred", `\x1b[31mred`},
	{"two\nlines\r\tand tabs", `two\nlines\r\tand tabs`},
	{"nul\x00bel\x07del\x7f", `nul\x00bel\x07del\x7f`},
	{"c1 \u009b31m", `c1 \u009b31m`},
	{"raw c1 \x9b31m", `raw c1 \x9b31m`},
	{"evil\u202egnp.exe", `evil\u202egnp.exe`},
	{"isolate\u2066x\u2069", `isolate\u2066x\u2069`},
	{"zero\u200bwidth\ufeff", `zero\u200bwidth\ufeff`},
	{"line\u2028sep", `line\u2028sep`},
	{"tag\U000e0041", `tag\U000e0041`},
	{"half \xe6\x97", `half \xe6\x97`},
}

func TestSafe(t *testing.T) {
	for _, h := range hostile {
		if got := terminal.Safe(h.text); got != h.want {
			t.Errorf("Safe(%q) = %q, want %q", h.text, got, h.want)
		}
	}
	if got, want := terminal.SafeLines("a\x1b\nb\r"), "a\\x1b\nb\\r"; got != want {
		t.Errorf("SafeLines = %q, want %q", got, want)
	}
}

func TestSafeJSONKeepsValues(t *testing.T) {
	for _, h := range hostile {
		if !utf8.ValidString(h.text) {
			continue // JSON cannot hold it
		}
		text, err := json.Marshal(map[string]string{"k": h.text})
		if err != nil {
			t.Fatal(err)
		}
		safe := terminal.SafeJSON(text)
		if err := snapshot.CheckText(string(safe)); err != nil {
			t.Errorf("SafeJSON(%q) = %q: %v", text, safe, err)
		}
		var back map[string]string
		if err := json.Unmarshal(safe, &back); err != nil || back["k"] != h.text {
			t.Errorf("SafeJSON(%q) = %q means %q (%v)", text, safe, back["k"], err)
		}
	}
}

func TestWidthAndTruncate(t *testing.T) {
	for _, c := range []struct {
		text  string
		width int
	}{{"", 0}, {"abc", 3}, {"日本", 4}, {"e\u0301", 1}, {"ｆｕｌｌ", 8}, {"a…b", 3}} {
		if got := terminal.Width(c.text); got != c.width {
			t.Errorf("Width(%q) = %d, want %d", c.text, got, c.width)
		}
		for max := range c.width + 2 {
			got := terminal.Truncate(c.text, max)
			if w := terminal.Width(got); w > max || max >= c.width && got != c.text {
				t.Errorf("Truncate(%q, %d) = %q, %d columns", c.text, max, got, w)
			}
		}
	}
	if got, want := terminal.Truncate("日本語", 4), "日…"; got != want {
		t.Errorf("Truncate = %q, want %q", got, want)
	}
	if got, want := terminal.Pad("日本", 6), "日本  "; got != want {
		t.Errorf("Pad = %q, want %q", got, want)
	}
}

func FuzzSafe(f *testing.F) {
	for _, h := range hostile {
		f.Add(h.text)
	}
	f.Fuzz(func(t *testing.T, s string) {
		safe := terminal.Safe(s)
		if err := snapshot.CheckText(safe); err != nil {
			t.Errorf("Safe(%q) = %q: %v", s, safe, err)
		}
		if terminal.Safe(safe) != safe {
			t.Errorf("Safe(%q) is not safe", s)
		}
		if strings.ContainsRune(terminal.SafeLines(s), '\x1b') {
			t.Errorf("SafeLines(%q) has an escape", s)
		}
	})
}
