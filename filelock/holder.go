package filelock

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// ErrNoHolder is matched by the error of [Lock.Holder] when no exclusive holder
// is recorded.
var ErrNoHolder = errors.New("no holder recorded")

// Holder is what an exclusive holder recorded about itself. It is for people:
// a record can be missing or, for an instant, be the one before, so nothing may
// be decided by it.
type Holder struct {
	PID     int
	Host    string
	Program string
	Since   time.Time // when the lock was acquired, by the holder's clock; zero if unknown
	Alive   Liveness

	start string // identifies the process among those that had this PID; "" if unknown
	space string // identifies the name space of PIDs; "" if unknown
	boot  string // identifies the running system, whatever containers call it; "" if unknown
}

// Liveness is what can be told about a recorded holder's process.
type Liveness uint8

// LivenessUnknown is also the answer about processes of another host or container.
const (
	LivenessUnknown Liveness = iota
	Running
	Stopped
	NotRunning
)

// String returns a lowercase phrase, "unknown" for LivenessUnknown.
func (l Liveness) String() string {
	switch l {
	case Running:
		return "running"
	case Stopped:
		return "stopped"
	case NotRunning:
		return "not running"
	}
	return "unknown"
}

// String describes the holder as the errors do, harmless for a terminal.
func (h *Holder) String() string {
	var b strings.Builder
	b.WriteString(h.name())
	since := roundAge(time.Since(h.Since))
	known := !h.Since.IsZero()
	switch {
	case h.Alive == NotRunning && known: // for how long it held the lock is unknown
		fmt.Fprintf(&b, ", which took it %v ago and is not running", since)
	case h.Alive == NotRunning:
		b.WriteString(", which is not running")
	case known:
		fmt.Fprintf(&b, " for %v", since)
	}
	if h.Alive == Stopped {
		b.WriteString(", stopped")
	}
	return b.String()
}

// name says which process it is.
func (h *Holder) name() string {
	where := " on "
	if me := self(); h.sameSystem(&me) && h.space != "" && me.space != "" && h.space != me.space {
		where = " in another container on "
		if h.space == initialSpace {
			where = " outside this container on "
		}
	}
	return fmt.Sprintf("pid %d (%s)%s%s", h.PID, printable(h.Program), where, printable(h.Host))
}

// sameSystem reports whether two processes run under one kernel. The name of the
// host decides only if there is nothing better: containers have names of their
// own, and hosts can share one.
func (h *Holder) sameSystem(other *Holder) bool {
	if h.boot != "" && other.boot != "" {
		return h.boot == other.boot
	}
	return h.Host == other.Host
}

// samePIDs reports whether a PID of h's means the same process to both.
func (h *Holder) samePIDs(other *Holder) bool {
	return h.sameSystem(other) && h.space == other.space && (h.space != "" || !hasSpaces)
}

// printable escapes what could steer a terminal or mislead its reader: control
// and format characters, unusual spaces, invalid UTF-8.
func printable(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && size <= 1:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case unicode.IsPrint(r):
			b.WriteRune(r)
		case r < 0x80:
			fmt.Fprintf(&b, `\x%02x`, r)
		case r < 0x10000:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			fmt.Fprintf(&b, `\U%08x`, r)
		}
		i += size
	}
	return b.String()
}

// Holder returns what the exclusive holder recorded and whether its process is
// alive. The error matches [ErrNoHolder] if none is recorded: nobody holds the
// lock exclusively, or the record could not be written. A holder that died
// without unlocking stays recorded, not running, until the next one. Holder does
// not touch the lock.
func (l *Lock) Holder() (Holder, error) {
	h, err := readRecord(l.path + holderSuffix)
	if err != nil {
		return Holder{}, fmt.Errorf("holder of lock %q: %w", l.path, err)
	}
	h.Alive = livenessOf(h)
	return h, nil
}

// FlockHolder returns a process that holds a flock on the file at path, which need
// not be a lock file of this package; a stopped one, if there are several. The
// answer is for messages only: it repeats what the kernel shows of itself at one
// moment. Not ok means that the holder is unknown, as it always is on systems
// other than Linux, for processes of another host or container, and on file
// systems whose files have other numbers inside the kernel. FlockHolder does not
// touch the lock.
func FlockHolder(path string) (h Holder, ok bool) {
	listed, _ := flockHolders(path)
	for _, p := range listed {
		if found := describe(p.pid); !ok || found.Alive == Stopped {
			h, ok = found, true
		}
	}
	return h, ok
}

func livenessOf(h Holder) Liveness {
	if me := self(); !h.samePIDs(&me) {
		return LivenessUnknown
	}
	return processLiveness(h.PID, h.start)
}
