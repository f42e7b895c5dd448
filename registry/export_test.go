package registry

import (
	"context"
	"time"

	"github.com/machreg/machreg/internal/vfs"
)

// Waiting is how many writes are in line, those of a commit that has begun not
// counted.
func Waiting[V any](r *Registry[V]) int {
	r.queue.mu.Lock()
	defer r.queue.mu.Unlock()
	return len(r.queue.waiting)
}

// Closing is whether writes are refused because Close was called.
func Closing[V any](r *Registry[V]) bool {
	r.queue.mu.Lock()
	defer r.queue.mu.Unlock()
	return r.queue.closed
}

// UpdateLocked is Update after the conflicts that make it take the lock.
func UpdateLocked[V any](ctx context.Context, r *Registry[V], fn func(tx *Tx[V]) error) (Revision, error) {
	return r.updateLocked(ctx, fn)
}

// Left is how many writers have left the group that is being applied.
func Left[V any](r *Registry[V]) int {
	r.queue.mu.Lock()
	defer r.queue.mu.Unlock()
	return r.queue.group.left
}

// DrainLogs waits until the logger has been handed all that was logged.
func DrainLogs[V any](r *Registry[V]) { r.logs.drain() }

// ShortenCloseGrace makes Close of this process give up soon.
func ShortenCloseGrace() { closeGrace = time.Second }

// SetPatience sets how long a write waits for a commit that has begun.
func SetPatience[V any](r *Registry[V], d time.Duration) { r.patience = d }

// AwaitRetired waits until the handle has closed all but the version of the
// file that is loaded.
func AwaitRetired[V any](r *Registry[V]) { r.files().awaitRetired() }

// LockReach is what a survey says of the file systems of a file and its lock.
func LockReach(target, lockDir string, on, locks vfs.FileSystem) *Obstacle {
	return place{target, lockDir}.lockReach(on, locks)
}
