//go:build !linux

package filelock

func flockHolders(string) []int { return nil }

func processName(int) string { return "" }
