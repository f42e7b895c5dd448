//go:build unix && !linux

package snapshot_test

import (
	"os"
	"testing"
)

func asNobody(t *testing.T, f func()) {
	t.Helper()
	if os.Geteuid() == 0 {
		t.Skip("NOT TESTED: root cannot lay down its rights for one thread here")
	}
	f()
}

func mountSmall(t *testing.T, dir string, bytes int) {
	t.Helper()
	t.Skip("NOT TESTED: a small file system is mounted on Linux only")
}
