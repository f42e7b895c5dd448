//go:build !unix

package vfs

import (
	"io/fs"
	"os"
)

// HandOver does nothing: a file inherits who may use it from its directory.
func HandOver(*os.File, Info) {}

// BelongsTo is false: owners are inherited.
func BelongsTo(made, dir Info) bool { return false }

// GiveToOwner does nothing.
func GiveToOwner(FS, string) {}

// WithoutGroup is mode: there are no groups.
func WithoutGroup(mode fs.FileMode) fs.FileMode { return mode }

// OpenMade opens a directory that this process has just made.
func OpenMade(name string) (*os.File, error) { return os.Open(name) }
