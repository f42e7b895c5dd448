// Package controls holds registries that are broken on purpose, each in one
// way. The property suite must catch every one of them; a suite that lets one
// pass would let that fault pass in a registry somebody uses.
//
// All are one small registry, built from this module's snapshots, lock and page
// with as little else as possible. Without a fault ([None]) it is right, and
// passes the suite: what is caught is the fault, not the smallness.
//
// Where a fault shows only if two things fall into one short moment, the moment
// is made longer, for the registry without the fault as well.
package controls
