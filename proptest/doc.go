// Package proptest checks registries: any implementation of a handful of
// operations is put through generated commands and judged against a sequential
// model, against the order of its own revisions, and against a linearizability
// checker. It is a product of its own; README.md beside it tells how to run it
// on another implementation, for how long, and how to read a failure.
//
// What [Run] checks:
//
//  1. One command after another: results, classes of errors, the file, and
//     revisions, on up to three handles that may be opened in different ways, on
//     a path that may change what it leads to, beside a program that writes the
//     same file without knowing of revisions, through edits by hand,
//     corruption, repair, and removed lock files.
//  2. Goroutines × handles: every history of concurrent operations has an
//     order that explains it.
//  3. Goroutines × handles × processes: the same, with real processes.
//
// What a subject cannot do is left out and said so in the test's log: nothing
// is skipped in silence.
//
// It does not check durability against a loss of power, and it finds faults of
// concurrency only as often as the scheduler lets them happen; the controls in
// package controls, each broken on purpose, show how often that is.
//
// Processes share one clock (CLOCK_MONOTONIC, which counts the same in every
// process of a machine), so an interval measured in one can be compared with
// an interval measured in another.
package proptest
