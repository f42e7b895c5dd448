package filelock

import (
	"errors"
	"strconv"

	"golang.org/x/sys/windows"
)

func creationTime(process windows.Handle) string {
	var creation, exit, kernel, user windows.Filetime
	if windows.GetProcessTimes(process, &creation, &exit, &kernel, &user) != nil {
		return ""
	}
	return strconv.FormatInt(creation.Nanoseconds(), 10)
}

func startToken(int) string { return creationTime(windows.CurrentProcess()) }

const (
	hasSpaces    = false
	initialSpace = "?"
)

func spaceToken() string { return "" }

func bootToken() string { return "" }

func processLiveness(pid int, start string) Liveness {
	process, err := windows.OpenProcess(windows.PROCESS_QUERY_LIMITED_INFORMATION|windows.SYNCHRONIZE, false, uint32(pid))
	if errors.Is(err, windows.ERROR_INVALID_PARAMETER) {
		return NotRunning
	}
	if err != nil {
		return LivenessUnknown
	}
	defer windows.CloseHandle(process)
	if started := creationTime(process); start != "" && started != "" && started != start {
		return NotRunning
	}
	switch event, err := windows.WaitForSingleObject(process, 0); {
	case err != nil:
		return LivenessUnknown
	case event == windows.WAIT_OBJECT_0:
		return NotRunning
	}
	return Running
}
