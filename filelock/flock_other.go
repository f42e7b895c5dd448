//go:build !linux

package filelock

// flockHolder is a process that holds a flock.
type flockHolder struct {
	pid       int
	exclusive bool
}

func flockHolders(string) (_ []flockHolder, whole bool) { return nil, false }

func isRecorded(Holder, int) bool { return false }

func networkOf(string) string { return "" }

func processName(int) string { return "" }
