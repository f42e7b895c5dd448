// Package registry is a versioned registry in one JSON file that any number of
// processes share. Reads are served from an immutable snapshot in memory,
// without locks; writes are optimistic transactions that commit in groups,
// under a file lock, by replacing the file in one step.
//
// Guarantees:
//
//  1. An acknowledged write is never lost, whatever other processes do or die
//     of; with [SyncFull], the default, neither if the power goes.
//  2. The file is at every instant one whole revision.
//  3. A reader never waits for a lock and never sees half a transaction.
//  4. Only commits make revisions, and none stands for two contents; a handle's
//     revision never goes back. Content that was edited by hand keeps the
//     revision that it was made on until the next commit, and no condition on a
//     revision holds for it; see [snapshot.Snapshot.Edited]. [Registry.Latest] is
//     linearizable between all processes that use this library. A conflict is
//     never missed.
//  5. A write that fails changes nothing.
//  6. Nothing found in the file is dropped: unknown members and unusable
//     entries survive every rewrite, and a corrupt file is never overwritten.
//  7. Every wait ends: by success, by its context, or by the timeout.
//
// It does not guarantee that a program which writes the file without this
// library is noticed at once, or that its write survives if it falls into the
// moment between a commit's last look at the file and its rename. The path is
// followed as it was given: if it is turned elsewhere, writes go there from then
// on, and readers notice by an event or within Options.PollInterval. On network
// file systems everything rests on their flock and their rename.
//
// It works on Linux, macOS, the BSDs, illumos and Windows; the revision page,
// which makes Latest as cheap as a memory access, on Linux, macOS and FreeBSD.
package registry
