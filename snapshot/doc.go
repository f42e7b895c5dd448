// Package snapshot is one immutable revision of a registry: in memory as a
// [Snapshot], as JSON through a [Codec], and on disk as a [File] with a
// [Stamp].
//
// It guarantees that a snapshot never changes, that a file is replaced whole
// or not at all, that nothing found in a file is dropped when it is rewritten
// (unknown members, entries that cannot be used), and that a file that cannot
// be read is an error with a place, never an empty registry.
//
// It takes no locks and starts no goroutines: who may write, and when, is
// decided by package registry. It does not guarantee anything against a
// program that writes into the file in place while it is being read, except
// that a half-written file which is not valid is refused.
//
// It works on Unix and on Windows. The hash index is an open-addressing table
// whose buckets are shared between revisions; the file's checksum is CRC-32C.
package snapshot
