package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/machreg/machreg/filelock"
	"github.com/machreg/machreg/registry"
	"github.com/machreg/machreg/snapshot"
)

// hasModes is whether the permission bits of a file mean something.
const hasModes = runtime.GOOS != "windows"

// verify runs every check on the registry at path; those of writing if it is not
// only to be read.
func (a *app) verify(ctx context.Context, path string, readOnly bool) (*report, error) {
	resolved, err := snapshot.Resolve(path)
	if err != nil {
		return nil, usageError{err}
	}
	r := &report{File: resolved, Worst: levelOK}
	codec, err := snapshot.NewCodec(registry.MachineSchema())
	if err != nil {
		return nil, err
	}
	state, lockErr := a.lockState()
	var options snapshot.FileOptions
	if state.Path != "" {
		options.TempDir = filepath.Dir(state.Path)
	}
	file := snapshot.NewFile(resolved, resolved, codec, options)
	info, err := os.Stat(resolved)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		r.add("file", levelNote, "", "there is none yet: the registry is empty, and the first write makes it")
	case err != nil:
		return nil, err
	default:
		r.checkContent(file)
		r.checkFile(info)
	}
	if lockErr != nil {
		r.add("lock", levelWarning, "", lockErr.Error())
	}
	r.checkLock(state)
	r.checkLeftovers(file, state)
	r.checkPage(resolved)
	return r, r.checkAccess(ctx, path, readOnly)
}

// checkAccess comes last: it takes the lock, of which the other checks tell.
func (r *report) checkAccess(ctx context.Context, path string, readOnly bool) error {
	access, err := registry.Probe(ctx, path, &registry.Options{ReadOnly: readOnly})
	if err != nil {
		return err
	}
	r.FileSystem = access.FileSystem
	for _, o := range access.Findings {
		r.addFinding(finding{Check: o.Check, Level: string(o.Level), Text: o.Reason, Remedy: o.Remedy})
	}
	if readOnly {
		return nil
	}
	writable := access.Err() == nil && r.Worst != levelCorrupt
	r.Writable = &writable
	switch {
	case writable:
		r.add("write", levelOK, "", "this user can write here")
	case access.Err() != nil:
		r.add("write", levelRefused, "", "writes are refused here; --read-only checks reading only")
	}
	return nil
}

// checkContent reads the file once.
func (r *report) checkContent(file *snapshot.File[registry.Machine]) {
	version, err := file.Load(nil, nil)
	if err != nil {
		level := levelWarning
		if errors.Is(err, snapshot.ErrCorrupt) {
			level = levelCorrupt
		}
		text := err.Error()
		if c, ok := errors.AsType[*snapshot.CorruptError](err); ok {
			text = fmt.Sprintf("line %d, column %d: %s", c.Line, c.Column, c.Reason)
		}
		r.add("content", level, "", text)
		return
	}
	defer version.Close()
	snap := version.Snapshot
	r.Revision, r.Machines = snap.Revision(), snap.Len()
	r.add("content", levelOK, "", fmt.Sprintf("%s at revision %d", count(snap.Len(), "machine", "machines"), snap.Revision()))

	switch {
	case !snap.Edited():
		r.add("checksum", levelOK, "", "the file is as machreg wrote it")
	case hasChecksum(file.Path()):
		r.add("checksum", levelNote, "", "changed by something else since machreg wrote it; the next write gives that a revision")
	default:
		r.add("checksum", levelNote, "", "none: written by something else; the next write gives that a revision")
	}
	for _, q := range snap.Quarantine() {
		r.add("entries", levelWarning, q.Name, fmt.Sprintf("%q cannot be used: %s", q.Name, q.Reason))
	}
	if len(snap.Quarantine()) == 0 {
		r.add("entries", levelOK, "", "all can be used")
	}
}

// hasChecksum reports whether a file that is known to be good has a checksum.
func hasChecksum(path string) bool {
	data, err := os.ReadFile(path)
	if err != nil {
		return false
	}
	dec := jsontext.NewDecoder(bytes.NewBuffer(data))
	dec.ReadToken()
	for dec.PeekKind() == '"' {
		name, err := dec.ReadToken()
		if err != nil {
			return false
		}
		if name.String() == "checksum" {
			return true
		}
		if dec.SkipValue() != nil {
			return false
		}
	}
	return false
}

func (r *report) checkFile(info fs.FileInfo) {
	before := len(r.Findings)
	if info.Mode().Perm()&0o002 != 0 && hasModes {
		r.add("permissions", levelWarning, "", fmt.Sprintf("everybody may write the file (%s)", info.Mode()))
	}
	if dir, err := os.Stat(filepath.Dir(r.File)); err == nil && openToAll(dir) {
		r.add("permissions", levelWarning, "", fmt.Sprintf("everybody may replace the file: its directory is writable for all (%s)", dir.Mode()))
	}
	if len(r.Findings) == before {
		r.add("permissions", levelOK, "", info.Mode().String())
	}
}

// openToAll reports whether anybody may replace what is in a directory.
func openToAll(dir fs.FileInfo) bool {
	return hasModes && dir.Mode().Perm()&0o002 != 0 && dir.Mode()&fs.ModeSticky == 0
}

func (r *report) checkLock(state lockState) {
	if state.Path == "" {
		return
	}
	level := levelOK
	if state.holder != nil && state.holder.Alive == filelock.Stopped {
		level = levelWarning // nobody writes until it goes on
	}
	r.add("lock", level, "", state.String())
	dir, err := os.Lstat(filepath.Dir(state.Path))
	switch {
	case err != nil:
	case !dir.IsDir():
		r.add("lock", levelWarning, "", "its directory is not a directory but a link or a file, so that no lock is taken there")
	case openToAll(dir):
		r.add("lock", levelWarning, "", fmt.Sprintf("its directory is writable for all (%s), so that no lock is taken there", dir.Mode()))
	}
}

func (r *report) checkLeftovers(file *snapshot.File[registry.Machine], state lockState) {
	left, err := file.Leftovers()
	if err != nil {
		r.add("leftovers", levelWarning, "", err.Error())
		return
	}
	for _, path := range left {
		if state.Held == "yes" {
			r.add("leftovers", levelNote, path, fmt.Sprintf("%q: of the write that is under way, or of one that was killed", path))
		} else {
			r.add("leftovers", levelWarning, path, fmt.Sprintf("%q: of a write that was killed; the next write removes it", path))
		}
	}
	if len(left) == 0 {
		r.add("leftovers", levelOK, "", "none")
	}
}

// checkPage asks a read-only handle how it would learn of new revisions.
func (r *report) checkPage(path string) {
	reg, err := registry.OpenMachines(path, &registry.Options{ReadOnly: true, Refresh: registry.RefreshNever})
	if err != nil {
		return // reported with the content
	}
	defer reg.Close()
	if snap := reg.Snapshot(); snap.Edited() {
		r.Revision = snap.Revision()
		r.add("revision", levelNote, "", fmt.Sprintf("edited since revision %d, or an older copy that was put back; --if-revision is refused until the next write", snap.Revision()))
	}
	mode := reg.Stats().Latest
	switch {
	case mode.Name == registry.ModePage && mode.Err == nil:
		r.add("page", levelOK, "", "in use: readers learn of new revisions at once")
	case mode.Err != nil:
		r.add("page", levelNote, "", fmt.Sprintf("not in use, readers look at the file instead: %v", mode.Err))
	default:
		r.add("page", levelNote, "", "not in use, readers look at the file instead")
	}
}
