// Package sandbox runs tests where mounts, users and namespaces are theirs to
// change.
package sandbox

// Need is what a test changes.
type Need int

const (
	// Mounts is a mount namespace in which the test is root. Any user has it
	// where user namespaces are allowed.
	Mounts Need = iota
	// Users is Mounts in which user and group ids other than 0 can be taken on:
	// see [As]. It takes root.
	Users
)
