package snapshot

import (
	"errors"
	"fmt"
	"unicode/utf8"
)

// CheckText reports why s must not be stored where people and terminals will
// meet it as a name: control characters and NUL could drive a terminal, line
// and paragraph separators could forge a line, bidirectional overrides could
// show another name than the one that is there, and invalid UTF-8 cannot be
// written as JSON.
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
	case r == 0x2028, r == 0x2029: // line and paragraph separator
		return true
	case r == 0x200e, r == 0x200f, r == 0x061c: // bidirectional marks
		return true
	case r >= 0x202a && r <= 0x202e, r >= 0x2066 && r <= 0x2069: // embeddings, overrides, isolates
		return true
	case r == 0xfeff: // byte order mark
		return true
	}
	return false
}
