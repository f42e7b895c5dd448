package snapshot

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// CheckText reports why s must not be stored where people and terminals will
// meet it as a name: control characters and NUL could drive a terminal, line
// and paragraph separators could forge a line, bidirectional controls could
// show another name than the one that is there, characters that are never seen
// could tell apart what looks the same, and invalid UTF-8 cannot be written as
// JSON.
//
// Joiners and variation selectors are allowed, because words of several
// scripts and emoji are spelled with them. So are letters that resemble
// others: that is a matter for eyes.
func CheckText(s string) error {
	if !utf8.ValidString(s) {
		return errors.New("invalid UTF-8")
	}
	for i, r := range s {
		if isUnsafe(r) {
			return fmt.Errorf("character %U at byte %d is not allowed", r, i)
		}
	}
	return nil
}

func isUnsafe(r rune) bool {
	switch {
	case r < 0x20, r >= 0x7f && r < 0xa0: // C0, DEL, C1
		return true
	case r < 0xa0:
		return false
	case r == 0x2028, r == 0x2029: // line and paragraph separator
		return true
	case r == 0x200e, r == 0x200f, r == 0x061c: // bidirectional marks
		return true
	case r >= 0x202a && r <= 0x202e, r >= 0x2066 && r <= 0x2069: // embeddings, overrides, isolates
		return true
	case r == 0x00ad, r == 0x034f, r == 0x180e, r == 0x200b, r == 0xfeff: // soft hyphen, invisible joiner and spaces
		return true
	case r >= 0x2060 && r <= 0x2064, r >= 0x206a && r <= 0x206f: // word joiner, invisible operators, shaping
		return true
	case r == 0x115f, r == 0x1160, r == 0x3164, r == 0xffa0: // letters without a shape
		return true
	case r >= 0xfff9 && r <= 0xfffb: // interlinear annotation
		return true
	case r >= 0xe0000 && r <= 0xe007f: // tags, which spell in secret
		return true
	}
	return false
}

// printable is s with whatever CheckText refuses spelled out, for messages
// that quote a file.
func printable(s string) string {
	if CheckText(s) == nil {
		return s
	}
	var b strings.Builder
	for _, r := range s { // an invalid byte becomes U+FFFD
		if isUnsafe(r) {
			fmt.Fprintf(&b, "<%U>", r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}
