//go:build !unix && !windows

package filelock

func startToken(int) string { return "" }

const (
	hasSpaces    = false
	initialSpace = "?"
)

func spaceToken() string { return "" }

func bootToken() string { return "" }

func processLiveness(int, string) Liveness { return LivenessUnknown }
