package filelock_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/machreg/machreg/filelock"
)

func ExampleWithWriteLock() {
	dir, err := os.MkdirTemp("", "filelock")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)

	err = filelock.WithWriteLock(context.Background(), filepath.Join(dir, "locks", "counter.lock"), func() error {
		// No other process that uses this lock is in here now.
		return os.WriteFile(filepath.Join(dir, "counter"), []byte("1\n"), 0o644)
	})
	fmt.Println(err)
	// Output: <nil>
}
