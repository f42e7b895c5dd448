//go:build aix || (solaris && !illumos)

package filelock

// processWideLocks: gofrs/flock emulates flock with record locks here, which
// belong to a process and a file instead of an open file.
const processWideLocks = true
