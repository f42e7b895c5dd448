// Package baseline is the registry that machreg is measured against: a JSON
// file shared by processes under two levels of locks, written again for this
// purpose. It is for tests and benchmarks, not for use.
//
// The algorithm:
//
//  1. The file lock is taken first, the mutex inside it.
//  2. Get and List take the mutex for reading and never look at the disk.
//  3. Load takes the file lock shared and replaces the memory.
//  4. Add and Remove take the file lock exclusively, read the whole file again,
//     change the memory, write the whole file under a temporary name and rename
//     it. There are no revisions.
//
// With its default lock, which is package filelock, it loses no acknowledged
// update between processes. What follows are its faults, kept on purpose; a
// difference from machreg in one of them is no bug of either.
//
//  1. Get and List hand out pointers into the live map, and Add keeps the
//     pointer it was given: a caller can change what everybody in the process
//     reads, without a lock or a write, until the next reload undoes it.
//  2. The memory is changed before the save, and stays changed if that fails.
//  3. Nothing is synced: after a loss of power the file may be empty.
//  4. A handle sees the writes of others only after a Load or a write of its own.
//  5. There is one temporary name, FILE.tmp, which is left behind if the write
//     of it fails; the file's mode, owner and hard links are not kept, and a
//     symbolic link in its place is replaced by a file.
//  6. Members that it does not know are dropped by the next write, of the file
//     and of each machine. That includes machreg's revision and checksum.
//  7. An identical Add rewrites the file.
//  8. The format version is not looked at; of members with equal names the last
//     counts; invalid UTF-8 is replaced; a machine in the file is not checked.
//  9. A file that was deleted comes back with what the writing handle remembers
//     from before.
//
// [PublishedLock] adds the fault of the published implementation's lock, for
// experiments: it loses acknowledged updates.
//
// Not kept, because they are crashes rather than semantics: a null machine in
// the file is an error here, and the memory is encoded under the mutex.
package baseline
