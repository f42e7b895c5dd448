// Package crashfs is a file system in memory that knows what a loss of power
// may take away. [FS.Crash] returns one of the states that a disk could be in
// if the power went now; calling it again returns another.
//
// What survives:
//
//  1. The content and the attributes (mode, owner, modification time) of a file
//     as of its last Sync. Of what was written since, any prefix of the bytes or
//     any subset of the blocks may survive, and independently the size; what did
//     not survive, inside a size that did, is what it was at the Sync, or zeros.
//     Each attribute is the synced one or the latest, independently.
//  2. The entries of a directory as of its last SyncDir. Of the creations,
//     renames and removals since, a prefix survives (Journal: what was done
//     first survives first, over all directories, as with one journal) or any
//     subset (AnyOrder: as POSIX allows). Each of them is done or not done: a
//     name that was renamed over leads to the old file or to a new one, never to
//     nothing.
//  3. Nothing of a file without a surviving name. A directory is a name in the
//     one above: where its creation is lost, all below it is, synced or not.
//
// Neither promise implies the other: Sync makes no name durable and SyncDir no
// content, so a name may survive whose file is empty. Real file systems are
// often kinder; a program that is right here does not need them to be.
//
// A file that is written in place is emptied first, so that what survives may
// also be nothing of the old content and a part of the new. After a sync that
// failed ([FS.FailSync]) what it should have covered is lost to later syncs as
// well.
//
// Inode numbers are given again as soon as they are free, lowest first, and the
// clock that stamps files is coarse, so that two versions of a file often have
// equal numbers and equal times.
//
// There is no way to ask for a crash in the middle of an operation, because
// none is needed: whatever an operation could leave half done is a state that
// Crash may return before it, or after it. To stop a program at its operation
// number k, put an errorfs with a PowerLossAt(k) between them.
//
// Limits: no links of either kind, no permission checks, and a directory
// cannot be renamed. All methods of all types are safe for concurrent use.
package crashfs
