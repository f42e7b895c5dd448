//go:build unix && !linux

package filelock

func startToken(int) string { return "" }

func spaceToken() string { return "" }

func processLiveness(pid int, _ string) Liveness { return signalLiveness(pid) }
