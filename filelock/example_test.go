package filelock_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

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

// A hold can outlive a function, and who cannot have the lock learns who has
// it.
func ExampleNew() {
	dir, err := os.MkdirTemp("", "filelock")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)

	lock := filelock.New(filepath.Join(dir, "locks", "deploy.lock"), &filelock.Options{
		Timeout: time.Second,
		Program: "deploy",
	})
	defer lock.Close() // removes the lock file if nobody holds it
	held, err := lock.Lock(context.Background())
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = lock.Lock(context.Background()) // from another goroutine or process
	var timeout *filelock.TimeoutError
	if errors.As(err, &timeout) {
		fmt.Println("held by", timeout.Holder.Program, "which is this process:", timeout.Holder.PID == os.Getpid())
	}
	fmt.Println(held.Unlock())
	// Output:
	// held by deploy which is this process: true
	// <nil>
}
