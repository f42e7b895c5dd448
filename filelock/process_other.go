//go:build !unix && !windows

package filelock

func startToken(int) string { return "" }

func spaceToken() string { return "" }

func processLiveness(int, string) Liveness { return LivenessUnknown }
