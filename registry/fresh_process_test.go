package registry_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/machreg/machreg/registry"
)

// roleStopRenamed adds the machine it is told to, and stops for good between
// the rename and the page's second bump, holding the lock.
var roleStopRenamed = program("stop-renamed", func(args []string) error {
	if strings.Contains(args[1], "weak") {
		registry.WeakenPage()
	}
	r, err := registry.OpenMachines(args[0], nil)
	if err != nil {
		return err
	}
	r.OnRenamed(func() {
		fmt.Println("renamed")
		_ = awaitParent()
	})
	_, err = r.Add(context.Background(), machineOf(args[1]))
	return err
})

// stopRenamed starts a writer that adds name and stops where it says.
func stopRenamed(t testing.TB, path, name string) *child {
	t.Helper()
	c := startChild(t, roleStopRenamed, path, name)
	c.read("renamed")
	return c
}

// leaveOdd has a writer that adds the machine "odd" die between the rename and
// the page's second bump.
func leaveOdd(t testing.TB, path string) {
	t.Helper()
	stopRenamed(t, path, "odd").kill()
	if _, err := os.Stat(path); err != nil {
		t.Fatal(err)
	}
}
