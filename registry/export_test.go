package registry

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

// AwaitRetired waits until the handle has closed all but the version of the
// file that is loaded.
func AwaitRetired[V any](r *Registry[V]) { r.files().awaitRetired() }
