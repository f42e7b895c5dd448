//go:build linux || darwin || freebsd

package page_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/machreg/machreg/internal/page"
)

// Users who cannot take the lock cannot write the page: it has the permissions
// of the lock, whatever the directory allows.
func TestPermissionsAreTheLocks(t *testing.T) {
	for _, dirMode := range []fs.FileMode{0o755, 0o775, 0o777 | fs.ModeSticky} {
		for _, lockMode := range []fs.FileMode{0o600, 0o640, 0o644, 0o664, 0o666} {
			dir := t.TempDir()
			must(t, os.Chmod(dir, dirMode))
			path := filepath.Join(dir, "machines.json.page")
			lock := filepath.Join(dir, "machines.json.lock")
			must(t, os.WriteFile(lock, nil, lockMode))
			must(t, os.Chmod(lock, lockMode))
			must(t, page.New(path, 0).Create())
			info, err := os.Lstat(path)
			must(t, err)
			if info.Mode() != lockMode {
				t.Errorf("in a directory of mode %v, with a lock of mode %v, the page has mode %v", dirMode, lockMode, info.Mode())
			}
		}
	}
}

// A page that more users can write than can take the lock is used by no reader,
// and made anew by the next writer.
func TestUntrustedPage(t *testing.T) {
	const somebodyElse = 65534
	plant := map[string]func(t *testing.T, path string){
		"writable by everybody": func(t *testing.T, path string) { must(t, os.Chmod(path, 0o666)) },
		"writable by a group":   func(t *testing.T, path string) { must(t, os.Chmod(path, 0o664)) },
		"of another user, where everybody can make files": func(t *testing.T, path string) {
			if os.Geteuid() != 0 {
				t.Skip("NOT TESTED: files of another user, which only root can make")
			}
			err := os.Chown(path, somebodyElse, somebodyElse)
			if errors.Is(err, syscall.EINVAL) {
				t.Skip("NOT TESTED: files of another user, which this user namespace does not know")
			}
			must(t, err)
		},
	}
	for name, plant := range plant {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			must(t, os.Chmod(dir, 0o777|fs.ModeSticky))
			path := filepath.Join(dir, "machines.json.page")
			must(t, os.WriteFile(filepath.Join(dir, "machines.json.lock"), nil, 0o644))
			must(t, page.New(path, 0).Create())
			before, err := os.Lstat(path)
			must(t, err)
			old := newProcess(t, path) // mapped it while it could be trusted
			tok := old.mustValidate()
			plant(t, path)
			reader := newProcess(t, path)
			if m := reader.Mapping(); m != nil {
				t.Error("a reader uses the page")
			}
			newProcess(t, path).publish(2, nil)
			if tok.latest() {
				t.Error("a token from before is valid after another publish")
			}
			after, err := os.Lstat(path)
			must(t, err)
			if os.SameFile(before, after) || after.Mode() != 0o644 || after.Sys().(*syscall.Stat_t).Uid != uint32(os.Geteuid()) {
				t.Errorf("after a publish the page is %v, the same file: %t", after.Mode(), os.SameFile(before, after))
			}
			reader.mustValidate()
			reader.mustRecord(2)
		})
	}
}
