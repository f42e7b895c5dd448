package errorfs

import (
	"fmt"
	"slices"
)

// Kind is what an operation does.
type Kind uint8

// The operations of a file system, then those of an open file.
const (
	Open Kind = iota
	Create
	Stat
	Lstat
	Resolve
	Mkdir
	Rename
	Remove
	ReadNames
	OpenDir
	SyncDir

	ReadAt
	Write
	FileStat
	Chmod
	Chown
	SetModTime
	Sync
	Close
)

var kindNames = [...]string{
	Open: "open", Create: "create", Stat: "stat", Lstat: "lstat", Resolve: "resolve", Mkdir: "mkdir", Rename: "rename", Remove: "remove",
	ReadNames: "read names", OpenDir: "open directory", SyncDir: "sync directory",
	ReadAt: "read", Write: "write", FileStat: "stat file", Chmod: "chmod", Chown: "chown",
	SetModTime: "set times of", Sync: "sync", Close: "close",
}

// String is the verb that errors begin with.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return fmt.Sprintf("Kind(%d)", uint8(k))
}

// Kinds lists every kind.
func Kinds() []Kind {
	all := make([]Kind, len(kindNames))
	for i := range all {
		all[i] = Kind(i)
	}
	return all
}

// Op is one operation as it was asked for.
type Op struct {
	// Number counts the operations of a file system from 0, those of its
	// files included.
	Number int
	Kind   Kind
	// Path is the name the operation was given; for one on a file, the name
	// the file was opened under.
	Path string
	// To is the new name of a Rename.
	To string
	// Bytes is the length of the buffer of a ReadAt or Write.
	Bytes int
}

// String is the operation in one line.
func (op Op) String() string {
	switch op.Kind {
	case Rename:
		return fmt.Sprintf("%d: rename %q to %q", op.Number, op.Path, op.To)
	case ReadAt, Write:
		return fmt.Sprintf("%d: %v %d bytes of %q", op.Number, op.Kind, op.Bytes, op.Path)
	}
	return fmt.Sprintf("%d: %v %q", op.Number, op.Kind, op.Path)
}

// Only matches the operations of the given kinds, for [Plan.Match].
func Only(kinds ...Kind) func(Op) bool {
	return func(op Op) bool { return slices.Contains(kinds, op.Kind) }
}
