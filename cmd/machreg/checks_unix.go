//go:build unix

package main

import (
	"io/fs"
	"syscall"
)

// hasModes is whether the permission bits of a file mean something.
const hasModes = true

func hardLinks(info fs.FileInfo) uint64 {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return uint64(st.Nlink)
	}
	return 1
}
