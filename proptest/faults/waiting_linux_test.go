package faults_test

import (
	"os"
	"strconv"
	"strings"
	"syscall"
)

// lockWaiters is which processes wait in the kernel for a lock on which file, by
// its inode; nil if the kernel does not tell.
func lockWaiters() map[int]uint64 {
	data, err := os.ReadFile("/proc/locks")
	if err != nil {
		return nil
	}
	waiters := make(map[int]uint64)
	for line := range strings.Lines(string(data)) {
		// 1: -> FLOCK ADVISORY WRITE 4242 fe:00:1234 0 EOF
		f := strings.Fields(line)
		if len(f) < 7 || f[1] != "->" {
			continue
		}
		pid, err := strconv.Atoi(f[5])
		inode, err2 := strconv.ParseUint(f[6][strings.LastIndex(f[6], ":")+1:], 10, 64)
		if err == nil && err2 == nil {
			waiters[pid] = inode
		}
	}
	return waiters
}

func inodeOf(path string) uint64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return info.Sys().(*syscall.Stat_t).Ino
}
