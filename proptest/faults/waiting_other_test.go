//go:build unix && !linux

package faults_test

// lockWaiters is for Linux, where the kernel tells.
func lockWaiters() map[int]uint64 { return nil }

func inodeOf(string) uint64 { return 0 }
