package controls

import "time"

// Fault is what is wrong with a control.
type Fault string

// The faults.
const (
	// None is the control that is right.
	None Fault = "none"
	// LockFileDeleted removes the lock file after each unlock, and does not
	// compare what it locked with its path.
	LockFileDeleted Fault = "lock file deleted after unlock"
	// NoReload writes on what the handle happens to remember.
	NoReload Fault = "no reload before a write"
	// TimeAndSize takes an equal modification time and size for an equal file.
	TimeAndSize Fault = "reload skipped on (mtime, size) alone"
	// PublishFirst shows readers what it is about to save.
	PublishFirst Fault = "memory published before a failed save"
	// InPlace writes over the file.
	InPlace Fault = "in-place write instead of rename"
	// NoOddPhase bumps the page after the rename only.
	NoOddPhase Fault = "page without its odd phase"
	// NamesOnly validates the names that a transaction read, not its ranges.
	NamesOnly Fault = "conflict check on names but not on ranges"
	// TwoSnapshots lists the first half of one revision and the second of
	// another.
	TwoSnapshots Fault = "List assembled from two snapshots"
	// Mutable hands out what it goes on using.
	Mutable Fault = "mutable value handed out"
)

// Faults lists all but None.
var Faults = []Fault{
	LockFileDeleted, NoReload, TimeAndSize, PublishFirst, InPlace, NoOddPhase, NamesOnly, TwoSnapshots, Mutable,
}

// linger makes a moment longer in which a fault can show.
func linger() { time.Sleep(100 * time.Microsecond) }
