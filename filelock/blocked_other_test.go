//go:build !linux

package filelock_test

import (
	"github.com/gofrs/flock"

	"github.com/machreg/machreg/filelock"
)

// awaitBlocked waits until another acquisition has passed the turnstile of the
// lock at path: the system does not tell what the child waits for.
func (c *child) awaitBlocked(path string) {
	c.t.Helper()
	eventually(c.t, "the waiter to pass the turnstile", func() bool {
		f := flock.New(path + filelock.QueueSuffix)
		free := must[bool](c.t)(f.TryLock())
		if err := f.Unlock(); err != nil {
			c.t.Fatal(err)
		}
		return !free
	})
}
