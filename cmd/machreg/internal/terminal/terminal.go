// Package terminal decides how things look: whether there is colour, how wide a
// line may be, and what text must look like before a terminal may see it.
//
// It guarantees that text which passes through [Safe], [SafeLines] or a
// [Printer] cannot move a cursor, change a colour, ring a bell or show itself
// in another order than it has.
package terminal

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"

	"golang.org/x/term"
)

// Color says when to use colour.
type Color string

// The choices of --color.
const (
	Auto   Color = "auto" // on a terminal, unless NO_COLOR is set
	Always Color = "always"
	Never  Color = "never"
)

// Style is a set of terminal attributes.
type Style string

// What is shown how.
const (
	Plain  Style = ""
	Header Style = "1;4"  // bold, underlined
	Strong Style = "1"    // what a line is about
	Faint  Style = "2"    // what is there for completeness
	Good   Style = "32"   // added, fine
	Note   Style = "33"   // changed, to be looked at
	Bad    Style = "31"   // removed, wrong
	Accent Style = "36"   // one kind among others
	Alert  Style = "1;31" // an error's first word
)

// Printer writes to one output stream. It is not safe for concurrent use.
type Printer struct {
	buf   *bufio.Writer
	raw   io.Writer
	color bool
	tty   bool
	width int // columns; 0 if there is no terminal
	err   error
}

// New returns a printer on w. environ looks up an environment variable.
func New(w io.Writer, color Color, environ func(string) string) *Printer {
	p := &Printer{raw: w, buf: bufio.NewWriterSize(w, 32<<10)}
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		p.tty = true
		p.width = 80
		if w, _, err := term.GetSize(int(f.Fd())); err == nil && w > 0 {
			p.width = w
		}
	}
	switch color {
	case Always:
		p.color = true
	case Never:
	default:
		p.color = p.tty && environ("NO_COLOR") == "" && environ("TERM") != "dumb"
	}
	return p
}

// TTY reports whether somebody looks at the output as it comes.
func (p *Printer) TTY() bool { return p.tty }

// Width is how many columns a line may take; 0 is any number.
func (p *Printer) Width() int { return p.width }

// SetWidth makes the printer fit its lines into n columns, as on a terminal of
// that width.
func (p *Printer) SetWidth(n int) { p.width = n }

// Paint is s in a style, if there is colour. s must be safe already.
func (p *Printer) Paint(style Style, s string) string {
	if !p.color || style == Plain || s == "" {
		return s
	}
	return "\x1b[" + string(style) + "m" + s + "\x1b[0m"
}

// Printf writes text that the program itself wrote; every string among args
// that comes from elsewhere must be safe or painted.
func (p *Printer) Printf(format string, args ...any) { fmt.Fprintf(p, format, args...) }

// Write implements [io.Writer] on the buffered stream. After an error it does
// nothing; see Err.
func (p *Printer) Write(b []byte) (int, error) {
	if p.err != nil {
		return 0, p.err
	}
	n, err := p.buf.Write(b)
	p.err = err
	return n, err
}

// Flush writes what is buffered.
func (p *Printer) Flush() error {
	if p.err == nil {
		p.err = p.buf.Flush()
	}
	return p.err
}

// Err is the first error that writing met. Long outputs ask it, to stop early.
func (p *Printer) Err() error { return p.err }

// IsClosed reports whether err says that nobody reads the output any more, as
// after "| head". It is not worth a message.
func IsClosed(err error) bool {
	return errors.Is(err, syscall.EPIPE) || errors.Is(err, io.ErrClosedPipe)
}
