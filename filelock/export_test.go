package filelock

// SetIdentityCheckOff takes away what makes removing a lock file safe.
func SetIdentityCheckOff() { identityCheckOff.Store(true) }

// SetTurnstileOff takes away what makes waiting fair.
func SetTurnstileOff() { turnstileOff.Store(true) }

// PendingWaits returns how many blocking calls are under way or left behind,
// and how many locks somebody negotiates for.
func PendingWaits() (helpers, slots int) {
	waits.mu.Lock()
	defer waits.mu.Unlock()
	for _, s := range waits.slots {
		if s.pending != nil {
			helpers++
		}
	}
	return helpers, len(waits.slots)
}

// PendingOn returns how many blocking calls wait for the file at path.
func PendingOn(path string) (helpers int) {
	waits.mu.Lock()
	defer waits.mu.Unlock()
	for key, s := range waits.slots {
		if key.path == path && s.pending != nil {
			helpers++
		}
	}
	return helpers
}

const (
	QueueSuffix  = queueSuffix
	HolderSuffix = holderSuffix
)

// EncodeRecord returns the record of a holder whose process is known by pid alone.
func EncodeRecord(h Holder) []byte { return encodeRecord(h) }

// ParseRecord is what a waiter makes of the bytes of a holder file.
func ParseRecord(data []byte) (Holder, error) { return parseRecord(data) }

// LivenessOf tells what can be known about a process of this host that started
// when start says.
func LivenessOf(pid int, start string) Liveness { return processLiveness(pid, start) }

// StartToken identifies a process among those that had its PID.
func StartToken(pid int) string { return startToken(pid) }

// QueuePatience bounds the wait at the turnstile; FirstLook is how long it lasts at
// least if the time allows.
const (
	QueuePatience = queuePatience
	FirstLook     = firstLook
)
