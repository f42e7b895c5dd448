package filelock

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"time"

	"github.com/gofrs/flock"
)

// ErrReplaced is matched by the error of a hold whose lock file is no longer
// the one at its path: somebody deleted or replaced it, and another process may
// hold the lock now.
var ErrReplaced = errors.New("lock file was removed or replaced while held")

// Held is one acquisition of a lock, until Unlock. Its methods are safe for
// concurrent use.
type Held struct {
	lock   *Lock
	mode   mode
	info   os.FileInfo // the locked file
	waited time.Duration

	mu     sync.Mutex
	fl     *flock.Flock // nil once released
	record *os.File     // open while an exclusive hold has a record
}

// Path returns the absolute path of the lock file.
func (h *Held) Path() string { return h.lock.path }

// Waited returns how long the acquisition took, from the call to the lock.
func (h *Held) Waited() time.Duration { return h.waited }

// Verify returns nil while the lock is held and the file at its path is the one
// that is locked: the fence before a step that must happen under the lock. It
// returns an error matching [ErrReplaced] if the file was removed or replaced by
// somebody who ignored the lock, and one matching [os.ErrClosed] after the
// release. It does not block.
func (h *Held) Verify() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.verifyLocked()
}

func (h *Held) verifyLocked() error {
	if h.fl == nil {
		return fmt.Errorf("verify lock %q: %w", h.lock.path, os.ErrClosed)
	}
	same, err := isAt(h.lock.path, h.info)
	if err != nil {
		return fmt.Errorf("verify lock %q: %w", h.lock.path, err)
	}
	if !same {
		return fmt.Errorf("verify lock %q: %w", h.lock.path, ErrReplaced)
	}
	return nil
}

// Unlock releases the lock and leaves its files, which is what makes the next
// acquisition cheap. After a release it does nothing and returns nil. If it
// returns an error, the lock is still held and Unlock can be called again.
func (h *Held) Unlock() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.fl == nil {
		return nil
	}
	h.closeRecordLocked()
	return h.releaseLocked()
}

func (h *Held) releaseLocked() error {
	if err := waits.release(h.lock.path, h.fl); err != nil {
		return fmt.Errorf("unlock %q: %w", h.lock.path, err)
	}
	h.fl = nil
	return nil
}

// UnlockAndRemove removes the lock's files and releases the lock. From the
// removal on another process can be inside, so it has to be the last act of the
// critical section. After a release it does nothing and returns nil.
//
// Nothing is removed, and the lock is released with an error, if the hold is
// shared or if the file at the path is not the locked one any more (matching
// [ErrReplaced]). On Windows the files stay, without an error, while another
// process has them open.
func (h *Held) UnlockAndRemove() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.fl == nil {
		return nil
	}
	h.closeRecordLocked()
	var refusal error
	if h.mode == exclusive {
		refusal = h.verifyLocked()
	} else {
		refusal = fmt.Errorf("remove lock %q: held shared, not exclusively", h.lock.path)
	}
	if identityCheckOff.Load() {
		refusal = nil
	}
	if refusal != nil {
		return errors.Join(refusal, h.releaseLocked())
	}
	// The companions go while the lock still protects them; a waiter that keeps
	// the old turnstile loses nothing but its place.
	err := errors.Join(removeCompanion(h.lock.path+holderSuffix), removeCompanion(h.lock.path+queueSuffix))
	if removeErr := removeLocked(h.lock.path, h.releaseLocked); removeErr != nil {
		err = errors.Join(err, fmt.Errorf("remove lock %q: %w", h.lock.path, removeErr))
	}
	return err
}

// removeCompanion removes what is at path unless it is a directory, without
// following a link. Somebody who has it open, on Windows, keeps it.
func removeCompanion(path string) error {
	info, err := os.Lstat(path)
	if err != nil || info.IsDir() {
		return nil
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) && !isInUse(path, err) {
		return err
	}
	return nil
}
