package snapshot

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// ErrCorrupt is what every [CorruptError] is.
var ErrCorrupt = errors.New("registry file is corrupt")

// CorruptError says why a file cannot be used, and where. Such a file is never
// treated as empty and never overwritten.
type CorruptError struct {
	Path   string
	Line   int    // from 1
	Column int    // from 1, in characters
	Reason string // safe for a terminal
}

func (e *CorruptError) Error() string {
	return fmt.Sprintf("registry file %q: line %d, column %d: %s", e.Path, e.Line, e.Column, e.Reason)
}

// Is makes errors.Is(err, ErrCorrupt) true.
func (e *CorruptError) Is(target error) bool { return target == ErrCorrupt }

// corruptAt makes an error of a place in the file's content, in bytes.
func corruptAt(data []byte, offset int, format string, args ...any) *CorruptError {
	offset = min(max(offset, 0), len(data))
	start := bytes.LastIndexByte(data[:offset], '\n') + 1
	return &CorruptError{
		Line:   1 + bytes.Count(data[:offset], []byte{'\n'}),
		Column: 1 + utf8.RuneCount(data[start:offset]),
		Reason: printable(fmt.Sprintf(format, args...)),
	}
}

// syntaxError words what the JSON decoder says.
func syntaxError(data []byte, err error) *CorruptError {
	se, ok := errors.AsType[*jsontext.SyntacticError](err)
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF), err == io.EOF:
		return corruptAt(data, len(data), "unexpected end of file")
	case !ok:
		return corruptAt(data, len(data), "%v", err)
	case errors.Is(err, jsontext.ErrDuplicateName):
		return corruptAt(data, int(se.ByteOffset), "duplicate name %q", se.JSONPointer.LastToken())
	}
	return corruptAt(data, int(se.ByteOffset), "%v", se.Err)
}
