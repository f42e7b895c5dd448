package terminal

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/width"

	"github.com/machreg/machreg/snapshot"
)

// Safe is s with everything spelled out that could drive a terminal, forge a
// line or hide itself: control characters, line separators, bidirectional
// controls, characters without a shape, invalid UTF-8. What is unsafe is what
// the registry refuses to store, so there is one definition of it. Text without
// any of it is returned as it is.
func Safe(s string) string {
	if snapshot.CheckText(s) == nil {
		return s
	}
	var b strings.Builder
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		b.WriteString(safeRune(r, s[:n]))
		s = s[n:]
	}
	return b.String()
}

func safeRune(r rune, raw string) string {
	switch {
	case r == utf8.RuneError && len(raw) == 1:
		return fmt.Sprintf(`\x%02x`, raw[0])
	case snapshot.CheckText(raw) == nil:
		return raw
	case r == '\n':
		return `\n`
	case r == '\r':
		return `\r`
	case r == '\t':
		return `\t`
	case r < utf8.RuneSelf:
		return fmt.Sprintf(`\x%02x`, r)
	case r > 0xffff:
		return fmt.Sprintf(`\U%08x`, r)
	}
	return fmt.Sprintf(`\u%04x`, r)
}

// SafeLines is Safe for text that may have several lines.
func SafeLines(s string) string {
	lines := strings.Split(s, "\n")
	for i, l := range lines {
		lines[i] = Safe(l)
	}
	return strings.Join(lines, "\n")
}

// SafeJSON is valid JSON text with every unsafe character in it written as an
// escape. Such characters can only stand inside strings, so the value that the
// text describes stays exactly the same.
func SafeJSON(text []byte) []byte {
	if snapshot.CheckText(string(text)) == nil {
		return text
	}
	var b []byte
	for _, r := range string(text) {
		switch {
		case r == '\n' || snapshot.CheckText(string(r)) == nil:
			b = utf8.AppendRune(b, r)
		case r > 0xffff:
			r -= 0x10000
			b = fmt.Appendf(b, `\u%04x\u%04x`, 0xd800+r>>10, 0xdc00+r&0x3ff)
		default:
			b = fmt.Appendf(b, `\u%04x`, r)
		}
	}
	return b
}

// Width is how many columns of a terminal s takes: two for wide characters of
// East Asian scripts and emoji, none for marks that combine with the one before
// them. Terminals differ over emoji that are joined from several.
func Width(s string) int {
	n := 0
	for _, r := range s {
		n += runeWidth(r)
	}
	return n
}

func runeWidth(r rune) int {
	if r < utf8.RuneSelf {
		return 1
	}
	if unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf) {
		return 0
	}
	switch width.LookupRune(r).Kind() {
	case width.EastAsianWide, width.EastAsianFullwidth:
		return 2
	}
	return 1
}

// Truncate is s if it takes at most max columns, and otherwise as much of it as
// fits before an ellipsis.
func Truncate(s string, max int) string {
	if max <= 0 {
		return ""
	}
	if Width(s) <= max {
		return s
	}
	n := 0
	for i, r := range s {
		w := runeWidth(r)
		if n+w > max-1 {
			return s[:i] + "…"
		}
		n += w
	}
	return s
}

// Pad is s with spaces after it, up to n columns.
func Pad(s string, n int) string {
	if w := Width(s); w < n {
		return s + strings.Repeat(" ", n-w)
	}
	return s
}
