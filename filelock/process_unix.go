//go:build unix && !linux

package filelock

func startToken(int) string { return "" }

const (
	hasSpaces    = false
	initialSpace = "?"
)

func spaceToken() string { return "" }

func bootToken() string { return "" }

func processLiveness(pid int, _ string) Liveness { return signalLiveness(pid) }
