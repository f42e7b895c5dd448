//go:build !linux

package compare

func fileSystem(string) string { return "" }
