package vfs

import (
	"errors"
	"io/fs"
	"path/filepath"
)

// FileSystem is what is known of the file system that a path is on.
type FileSystem struct {
	Name     string // its usual name, or its number; empty if it cannot be told
	Kind     Kind
	ReadOnly bool  // mounted without the right to write
	Free     int64 // bytes that this user can still write; -1 if there is no telling
}

// Kind is what a file system promises to processes that share a file.
type Kind uint8

const (
	// Unknown promises nothing.
	Unknown Kind = iota
	// Disk is a file system of this machine: its locks exclude all processes that
	// can open the file, and a shared mapping is coherent between them.
	Disk
	// Memory is Disk that keeps nothing over a restart.
	Memory
	// Stacked shows files of other file systems: overlayfs. A reader may have
	// mapped the lower file, which no writer touches.
	Stacked
	// FUSE is a file system that a program makes. A process that reaches the
	// files below it, or through another mount, sees none of its locks.
	FUSE
	// Network is a file system that other machines use as well. How far its locks
	// reach depends on its protocol, its server and how it is mounted.
	Network
)

// Coherent reports whether a shared mapping of a file is the same memory for all
// processes.
func (f FileSystem) Coherent() bool { return f.Kind == Disk || f.Kind == Memory }

// String is the name, for people.
func (f FileSystem) String() string {
	switch {
	case f.Name == "":
		return "unknown file system"
	case f.Kind == Memory:
		return f.Name + " (in memory: syncing costs nothing)"
	}
	return f.Name
}

// FileSystemOf describes the file system that path is on: of a path that does not
// exist, the nearest directory above it that does. What cannot be told is the zero
// FileSystem, without an error, on a platform where nothing can.
func FileSystemOf(path string) (FileSystem, error) {
	for {
		info, err := fileSystemOf(path)
		parent := filepath.Dir(path)
		if !errors.Is(err, fs.ErrNotExist) || parent == path {
			return info, err
		}
		path = parent
	}
}

// Flags are properties of a name that refuse changes whatever its mode says.
type Flags struct {
	// MountPoint is a name that a file system, or a single file, is mounted on: it
	// can be neither replaced nor removed.
	MountPoint bool
	// Immutable and AppendOnly are marks that chattr and chflags set. A directory
	// that has one keeps the names that are in it.
	Immutable  bool
	AppendOnly bool
}

// FlagsOf returns the flags of what is at path; a link is not followed. A flag
// that the platform cannot tell is false.
func FlagsOf(path string) (Flags, error) { return flagsOf(path) }
