//go:build !(linux || darwin || freebsd)

package vfs

func fileSystemOf(string) (FileSystem, error) { return FileSystem{Free: -1}, nil }

func flagsOf(string) (Flags, error) { return Flags{}, nil }
