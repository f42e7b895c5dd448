package filelock

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
)

// ownNumbers reports whether /proc is there and calls processes as the system
// calls do. It does not in a PID name space that still has the /proc of another.
var ownNumbers = sync.OnceValue(func() bool {
	me, err := os.Readlink("/proc/self")
	return err == nil && me == strconv.Itoa(os.Getpid())
})

// procStat returns the state and start time (in clock ticks since boot) of a
// process, from the third and the 22nd field of its stat file.
func procStat(pid int) (state byte, start string, ok bool) {
	if !ownNumbers() {
		return 0, "", false
	}
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

// hasSpaces says that a PID can mean several processes of one system.
const hasSpaces = true

// initialSpace is the space of what runs in no container; its number is part of
// the kernel's interface.
const initialSpace = "pid:[4026531836]"

// spaceToken tells containers apart that share a host name.
func spaceToken() string {
	ns, err := os.Readlink("/proc/self/ns/pid")
	if err != nil {
		return ""
	}
	return clip(ns, maxToken)
}

// bootToken is the same in all containers, and another one after a restart.
func bootToken() string {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return clip(strings.TrimSpace(string(id)), maxToken)
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
