package filelock

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
)

// Hold is how a lock is held.
type Hold uint8

// HoldUnknown means that the system does not tell: see [Status.Doubt].
const (
	HoldUnknown Hold = iota
	NotHeld
	HeldShared
	HeldExclusively
)

// String returns "unknown", "not held", "shared" or "exclusive".
func (h Hold) String() string {
	switch h {
	case NotHeld:
		return "not held"
	case HeldShared:
		return "shared"
	case HeldExclusively:
		return "exclusive"
	}
	return "unknown"
}

// Status describes a lock at one moment, as the system sees it. It is for people
// and for monitoring: it may be out of date before it is read.
type Status struct {
	// Exists reports whether there is a lock file. It may be there without being
	// held.
	Exists bool
	Hold   Hold
	// Holders are the processes that hold the lock, as far as they are known: a
	// holder in another container or on another host may not be.
	Holders []Holder
	// Recorded reports that the exclusive holder left a record. Its entry in
	// Holders is then taken from that record. A program that takes the lock
	// without this package leaves none.
	Recorded bool
	// Left is the record of a process that does not hold the lock any more, or
	// nil. A process that dies while it holds the lock leaves it.
	Left *Holder
	// Doubt says what cannot be known, and why; empty if nothing is in doubt.
	Doubt string
}

// statusLooks bounds how often Status looks again when the lock and its record
// disagree: the record is written a moment after the lock is taken.
const statusLooks = 5

// Status asks the system who holds the lock, exclusively or shared, with a record
// or without. It creates nothing and does not wait. The error is about what is at
// the path; it matches [ErrUnsafe] if that is no regular file.
//
// How the kernel is asked, and why so. To try the lock is the only question that
// flock and LockFileEx answer everywhere, but while a try succeeds it is a hold:
// for that instant it makes the try of another process fail that does not wait,
// such as [Lock.TryLock] (waiting acquisitions are late by it and no more). To try
// it shared is no better, since an exclusive try collides with that too, and the
// queries that take no lock (F_GETLK, F_OFD_GETLK) do not see flocks. So:
//
//  1. Linux lists all flocks in /proc/locks. Who is listed there holds the lock,
//     and nothing was touched.
//  2. Who is not listed may hold it all the same: a process of a PID name space
//     that ours does not contain, or of another host; or the list numbers the
//     file system in another way than stat. Where none of that can be (the initial
//     name space, a local file system that is known to number alike, a list that
//     was read in one piece), the lock is free, and again nothing was touched.
//  3. Elsewhere the lock is tried. Against a held lock that touches nothing,
//     because it fails; a free one is held for two system calls.
func (l *Lock) Status() (Status, error) {
	for look := 1; ; look++ {
		s, settled, err := l.statusOnce()
		if err != nil {
			return s, fmt.Errorf("status of lock %q: %w", l.path, err)
		}
		if settled || look == statusLooks {
			return s, nil
		}
	}
}

// statusOnce is not settled if the record may be about to change.
func (l *Lock) statusOnce() (s Status, settled bool, err error) {
	info, err := os.Lstat(l.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		s.Hold = NotHeld
	case err != nil:
		return s, true, err
	default:
		s.Exists = true
		if err := checkRegular(l.path, info); err != nil {
			return s, true, err
		}
	}
	var listed []flockHolder
	if s.Exists {
		var whole bool
		listed, whole = flockHolders(l.path)
		switch {
		case len(listed) > 0:
			s.Hold = HeldShared
			if listed[0].exclusive {
				s.Hold = HeldExclusively
			}
		case whole:
			s.Hold = NotHeld
		default:
			s.Hold, s.Doubt = l.tryHold()
		}
	}
	record, err := readRecord(l.path + holderSuffix)
	recorded := err == nil // one that cannot be read is as good as none
	for _, p := range listed {
		h := describe(p.pid)
		if recorded && isRecorded(record, p.pid) {
			h = record
			h.Alive = processLiveness(p.pid, record.start)
			s.Recorded = true
		}
		s.Holders = append(s.Holders, h)
	}
	if recorded && !s.Recorded {
		record.Alive = livenessOf(record)
		if s.Hold == HeldExclusively && len(listed) == 0 && record.Alive != NotRunning {
			s.Holders, s.Recorded = []Holder{record}, true
		} else {
			s.Left = &record
		}
	}
	if network := networkOf(l.dir); network != "" && s.Exists && s.Doubt == "" {
		s.Doubt = "on " + network + ", locks that are taken on another host or mount are seen only as far as the file system passes them on"
	}
	return s, s.Hold != HeldExclusively || s.Recorded, nil
}

// tryHold asks by trying. Two exclusive holders in a row look like a shared one
// to a try that comes in between, so a shared holder is believed only after
// several tries.
func (l *Lock) tryHold() (_ Hold, doubt string) {
	const tries = 3
	for range tries {
		taken, err := l.taken(exclusive)
		if err == nil && !taken {
			return NotHeld, ""
		}
		if err != nil && !errors.Is(err, fs.ErrPermission) && !isReadOnly(err) {
			return HoldUnknown, err.Error()
		}
		takenByOne, sharedErr := l.taken(shared)
		switch {
		case sharedErr != nil:
			return HoldUnknown, sharedErr.Error()
		case takenByOne:
			return HeldExclusively, ""
		case err != nil:
			return HoldUnknown, fmt.Sprintf("no process holds it exclusively; whether one holds it shared takes the permission to write the lock file to find out: %v", err)
		}
	}
	return HeldShared, ""
}

// taken reports whether an attempt that does not wait fails.
func (l *Lock) taken(m mode) (bool, error) {
	for vanished := 0; ; vanished++ {
		fl, err := waits.try(l.path, m)
		switch {
		case errors.Is(err, errGaveUp):
			return true, nil
		case errors.Is(err, fs.ErrNotExist):
			return false, nil
		case err != nil:
			return false, err
		}
		h, err := l.verified(fl, m)
		if err != nil {
			return false, err
		}
		if h != nil {
			return false, h.Unlock()
		}
		if vanished == maxVanished {
			return false, fmt.Errorf("the lock file is removed again and again")
		}
	}
}

// describe returns a Holder for a process without a record, from what the system
// shows of the process.
func describe(pid int) Holder {
	h := self()
	h.PID, h.Program, h.start = pid, processName(pid), startToken(pid)
	h.Alive = processLiveness(pid, "")
	return h
}

// String describes the status in one line, harmless for a terminal.
func (s *Status) String() string {
	text := s.describe()
	if s.Doubt != "" {
		text += "; " + printable(s.Doubt)
	}
	return text
}

func (s *Status) describe() string {
	switch {
	case s.Hold == HoldUnknown:
		return "it cannot be told who holds it"
	case s.Hold == NotHeld && s.Left != nil && s.Left.Alive == NotRunning:
		return "free; last held by " + s.Left.String()
	case s.Hold == NotHeld && s.Left != nil:
		return "free; " + s.Left.name() + " left its record"
	case s.Hold == NotHeld && s.Exists:
		return "free: no program holds it; the file is left from the last one that did"
	case s.Hold == NotHeld:
		return "free"
	}
	var by []string
	inherited := false
	for i := range s.Holders {
		by = append(by, s.Holders[i].String())
		inherited = inherited || s.Holders[i].Alive == NotRunning
	}
	text := strings.Join(by, ", and by ")
	switch {
	case s.Hold == HeldShared && text == "":
		text = "shared by programs that cannot be seen from here"
	case s.Hold == HeldShared:
		text = "shared by " + text
	case text == "":
		text = "exclusively by a program that cannot be seen from here; it left no record"
	case !s.Recorded:
		text = "exclusively by " + text + "; it left no record"
	default:
		text = "exclusively by " + text
	}
	if inherited {
		text += "; a process that it started keeps the file open"
	}
	return "held " + text
}
