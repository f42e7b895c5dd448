// Package faults is the evidence for what machreg promises when something goes
// wrong: every file-system operation fails, alone and in pairs; the power goes
// at every one of them, in an in-memory file system and on real ones whose
// disk is made to forget; system calls fail and processes are killed at them;
// descriptors run out, clocks go back, holders are stopped; and everything
// that a registry can meet is as hostile as it can be.
//
// It holds nothing but tests. README.md says what each dimension covers, how
// long it takes, and which variable makes it larger.
package faults
