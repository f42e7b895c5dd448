package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strconv"

	"github.com/machreg/machreg/cmd/machreg/internal/terminal"
	"github.com/machreg/machreg/filelock"
	"github.com/machreg/machreg/registry"
	"github.com/machreg/machreg/snapshot"
)

// Exit codes. Scripts rely on them: they never change their meaning.
const (
	exitDone     = 0
	exitError    = 1
	exitUsage    = 2
	exitNotFound = 3
	exitConflict = 4
	exitLocked   = 5
	exitCorrupt  = 6
)

const exitHelp = `machreg ends with one of these exit codes:

  0  done
  1  error: anything that has no code of its own
  2  usage: the command line makes no sense, or names a value that is refused
  3  not found: no machine of that name
  4  conflict or exists: somebody changed it meanwhile, or --if-absent or
     --if-revision did not hold
  5  lock timeout: another process held the lock for longer than --lock-timeout
  6  corrupt file: the registry file is not valid; it is never overwritten

After any code but 0 nothing was written, unless the message says otherwise.
"machreg verify" ends with the code of its worst finding. "machreg ssh" ends
with the code of ssh once that has been started.`

func exitCode(err error) int {
	switch {
	case isUsage(err), errors.Is(err, registry.ErrInvalid):
		return exitUsage
	case errors.Is(err, registry.ErrNotFound):
		return exitNotFound
	case errors.Is(err, registry.ErrConflict), errors.Is(err, registry.ErrExists):
		return exitConflict
	case errors.Is(err, registry.ErrLockTimeout):
		return exitLocked
	case errors.Is(err, registry.ErrCorrupt):
		return exitCorrupt
	}
	return exitError
}

// hinted is an error that knows itself what to do about it.
type hinted struct {
	error
	hint string // safe for a terminal
}

func (e hinted) Unwrap() error { return e.error }

// hint says what to do about an error, if that is known.
func (a *app) hint(err error, code int) string {
	if h, ok := errors.AsType[hinted](err); ok {
		return h.hint
	}
	if _, ok := errors.AsType[*registry.Obstacle](err); ok {
		return "" // it has said so itself
	}
	if code == exitUsage {
		if a.command == nil {
			return "\"machreg --help\" lists the commands"
		}
		return fmt.Sprintf("usage: %s; %q says more", a.command.UseLine(), a.command.CommandPath()+" --help")
	}
	if t, ok := errors.AsType[*filelock.TimeoutError](err); ok && t.Holder != nil && t.Holder.Alive == filelock.Stopped {
		return fmt.Sprintf("that process is stopped: \"kill -CONT %d\" lets it go on, and the lock is free once it ends", t.Holder.PID)
	}
	for _, h := range hints {
		if errors.Is(err, h.cause) {
			return h.text
		}
	}
	if c, ok := errors.AsType[*snapshot.CorruptError](err); ok {
		return fmt.Sprintf("nothing was changed; repair %s at that line or put a good copy in its place, and check it with \"machreg verify\"", terminal.Safe(strconv.Quote(c.Path)))
	}
	return ""
}

// hints are looked through in order; the first cause that matches is the one.
var hints = []struct {
	cause error
	text  string
}{
	{context.Canceled, "interrupted; nothing was written, unless it says so above"},
	{registry.ErrInDoubt, "look with \"machreg get\" whether the change is there"},
	{registry.ErrNotDurable, "the change is in the file, but a loss of power now might undo it"},
	{registry.ErrNotFound, "\"machreg list -q\" prints the names that there are"},
	{registry.ErrExists, "\"machreg get\" shows what is there; without --if-absent it would be replaced"},
	{registry.ErrConflict, "look at the present state with \"machreg list\", and repeat the command, --if-revision with the revision that it has now (\"machreg revision\")"},
	{registry.ErrBuiltin, "the machine \"local\" is part of every registry"},
	{registry.ErrLockTimeout, "\"machreg lock status\" shows who holds the lock; --lock-timeout waits longer"},
	{filelock.ErrUnsafe, "nobody else may be able to replace the lock: check who may write to that directory, and that it is not a link"},
	{snapshot.ErrHardLinks, "make the registry a file of its own: cp it to a new name and mv that over it"},
	{snapshot.ErrProtected, "\"chmod u+w\" the file, if it may be changed"},
	{registry.ErrMissing, "somebody removed the file while it was in use; put it back, or run the command again to start a new one"},
	{fs.ErrPermission, "check with \"ls -ld\" who may read the file and write to its directory, or name another one with --file"},
}
