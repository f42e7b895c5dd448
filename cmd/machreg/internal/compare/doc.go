// Package compare runs one workload on several registries, with real processes,
// and reports what each of them does with it: how fast it is, how old what it
// returns is, and which of the writes that it acknowledged are gone.
//
// The registries are this module's, with and without some of its parts, and the
// algorithm that it replaces. They take turns in short rounds, so that whatever
// else the machine is busy with hits all alike.
//
// What is lost is counted exactly, from outside: every worker writes only names
// of its own, and notes in a journal, before and after each write, what it is
// about to do and what came of it. What the file holds at the end of a round
// must follow from the journals. The journal survives the worker's death.
//
// [Check] compares semantics instead: generated commands, one after the other,
// on two registries.
package compare
