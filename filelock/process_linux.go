package filelock

import (
	"bytes"
	"fmt"
	"os"
)

// procStat returns the state and start time (in clock ticks since boot) of a
// process, from the third and the 22nd field of its stat file.
func procStat(pid int) (state byte, start string, ok bool) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, "", false
	}
	// The second field is the program's name in parentheses, which may hold
	// anything, parentheses and spaces included.
	_, rest, found := bytes.Cut(data[max(bytes.LastIndexByte(data, ')'), 0):], []byte(") "))
	fields := bytes.Fields(rest)
	if !found || len(fields) < 20 || len(fields[0]) != 1 {
		return 0, "", false
	}
	return fields[0][0], string(fields[19]), true
}

func startToken(pid int) string {
	_, start, _ := procStat(pid)
	return start
}

// spaceToken tells containers apart that share a host name.
func spaceToken() string {
	ns, err := os.Readlink("/proc/self/ns/pid")
	if err != nil {
		return ""
	}
	return clip(ns, maxToken)
}

func processLiveness(pid int, start string) Liveness {
	if l := signalLiveness(pid); l != Running {
		return l
	}
	state, started, ok := procStat(pid)
	switch {
	case !ok:
		return Running // it exists, we may not look closer
	case start != "" && started != start:
		return NotRunning // the number was given to another process
	}
	switch state {
	case 'Z', 'X':
		return NotRunning
	case 'T', 't':
		return Stopped
	}
	return Running
}
