//go:build unix

package snapshot_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/machreg/machreg/snapshot"
)

func mode(t *testing.T, path string) os.FileMode {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Mode().Perm()
}

func TestModeKept(t *testing.T) {
	old := unix.Umask(0o077)
	defer unix.Umask(old)
	dir := t.TempDir()
	f := fileIn(t, dir, snapshot.FileOptions{ReplaceProtected: true})
	v := mustReplace(t, f, load(t, f, nil), realistic(0))
	if got := mode(t, f.Path()); got != 0o600 {
		t.Errorf("a new file has mode %v, want what the umask leaves of 0644", got)
	}
	for i, want := range []os.FileMode{0o664, 0o444, 0o400, 0o604, 0o666} {
		// Changed after the version was loaded, and not a new version for that.
		if err := os.Chmod(f.Path(), want); err != nil {
			t.Fatal(err)
		}
		unchanged(t, f, v, true)
		v = mustReplace(t, f, v, realistic(i))
		if got := mode(t, f.Path()); got != want {
			t.Errorf("mode %v after a write, want %v", got, want)
		}
	}
}

// A file that no user may write is not replaced by a rename, for which no
// permission to it is asked.
func TestProtected(t *testing.T) {
	f := fileIn(t, t.TempDir(), snapshot.FileOptions{})
	v := mustReplace(t, f, load(t, f, nil), realistic(0))
	for _, m := range []os.FileMode{0o444, 0o400, 0o000} {
		if err := os.Chmod(f.Path(), m); err != nil {
			t.Fatal(err)
		}
		if _, err := replace(t, f, v, realistic(1)); !errors.Is(err, snapshot.ErrProtected) || !strings.Contains(err.Error(), f.Path()) {
			t.Errorf("a write to a file of mode %v: %v, want ErrProtected and its path", m, err)
		}
	}
	edit := v.Snapshot.Edit()
	edit.Apply(put(t, machines(t), "a", machine{Type: "local"}))
	for _, m := range []os.FileMode{0o600, 0o020} { // protected after it was looked at
		if err := os.Chmod(f.Path(), m); err != nil {
			t.Fatal(err)
		}
		p, err := f.Prepare(v, edit.Snapshot())
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(f.Path(), 0o400); err != nil {
			t.Fatal(err)
		}
		if err := fence(p, v); !errors.Is(err, snapshot.ErrChanged) && !errors.Is(err, snapshot.ErrProtected) {
			t.Errorf("Fence of a file that is protected meanwhile = %v, want ErrChanged or ErrProtected", err)
		}
		if err := p.Discard(); err != nil {
			t.Error(err)
		}
	}
}

// A mode that changes between Prepare and Publish is not overwritten.
func TestModeChangedLate(t *testing.T) {
	dir := t.TempDir()
	f := fileIn(t, dir, snapshot.FileOptions{})
	v := mustReplace(t, f, load(t, f, nil), realistic(0))
	edit := v.Snapshot.Edit()
	edit.Apply(put(t, machines(t), "a", machine{Type: "local"}))
	p, err := f.Prepare(v, edit.Snapshot())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(f.Path(), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := fence(p, v); !errors.Is(err, snapshot.ErrChanged) {
		t.Errorf("Fence = %v, want ErrChanged", err)
	}
	if err := p.Discard(); err != nil {
		t.Error(err)
	}
	mustReplace(t, f, v, realistic(1))
	if got := mode(t, f.Path()); got != 0o600 {
		t.Errorf("mode %v, want 0600", got)
	}
	onlyFile(t, dir)
}

func TestOwnerKept(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("NOT TESTED: only root can give a file away")
	}
	f := fileIn(t, t.TempDir(), snapshot.FileOptions{})
	v := mustReplace(t, f, load(t, f, nil), realistic(0))
	if err := os.Chown(f.Path(), 1234, 5678); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(f.Path(), 0o640); err != nil {
		t.Fatal(err)
	}
	mustReplace(t, f, v, realistic(1))
	var st unix.Stat_t
	if err := unix.Stat(f.Path(), &st); err != nil {
		t.Fatal(err)
	}
	if st.Uid != 1234 || st.Gid != 5678 || mode(t, f.Path()) != 0o640 {
		t.Errorf("owner %d:%d, mode %v, want 1234:5678, 0640", st.Uid, st.Gid, mode(t, f.Path()))
	}
}

func TestHardLinks(t *testing.T) {
	dir := t.TempDir()
	f := fileIn(t, dir, snapshot.FileOptions{})
	v := mustReplace(t, f, load(t, f, nil), realistic(0))
	data := readFile(t, f.Path())
	second := filepath.Join(t.TempDir(), "second")
	if err := os.Link(f.Path(), second); err != nil {
		t.Fatal(err)
	}
	if _, err := replace(t, f, v, realistic(1)); !errors.Is(err, snapshot.ErrHardLinks) {
		t.Errorf("a write: %v, want ErrHardLinks", err)
	}
	if readFile(t, f.Path()) != data {
		t.Error("the file was changed")
	}
	onlyFile(t, dir)
	split := fileIn(t, dir, snapshot.FileOptions{SplitHardLinks: true})
	mustReplace(t, split, load(t, split, nil), realistic(1))
	if readFile(t, second) != data || readFile(t, f.Path()) == data {
		t.Error("the other name does not keep the old version alone")
	}
}

// What is not a regular file is refused at once and left alone.
func TestNotRegular(t *testing.T) {
	for what, make := range map[string]func(path string) error{
		"directory": func(path string) error { return os.Mkdir(path, 0o755) },
		"FIFO":      func(path string) error { return unix.Mkfifo(path, 0o644) },
		"device":    func(path string) error { return os.Symlink("/dev/zero", path) },
		"socket": func(path string) error {
			l, err := net.Listen("unix", path)
			if err == nil {
				t.Cleanup(func() { l.Close() })
			}
			return err
		},
	} {
		t.Run(what, func(t *testing.T) {
			dir, err := os.MkdirTemp("/tmp", "snap") // the path of a socket has to be short
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { os.RemoveAll(dir) })
			f := fileIn(t, dir, snapshot.FileOptions{})
			none := load(t, f, nil)
			if err := make(f.Path()); err != nil {
				t.Fatal(err)
			}
			before, err := os.Lstat(f.Path())
			if err != nil {
				t.Fatal(err)
			}
			if v, err := f.Load(nil, nil); err == nil || errors.Is(err, snapshot.ErrCorrupt) || !strings.Contains(err.Error(), f.Path()) {
				t.Errorf("Load = %+v, %v", v, err)
			}
			if _, err := replace(t, f, none, realistic(1)); err == nil {
				t.Error("a write succeeds")
			}
			after, err := os.Lstat(f.Path())
			if err != nil || !os.SameFile(before, after) || before.Mode() != after.Mode() {
				t.Errorf("%v, %v is now there, want %v", after, err, before)
			}
			onlyFile(t, dir)
		})
	}
}

// A write that fails on the way changes nothing: not the file, not the version
// in memory, and leaves no temporary file.
func checkFailedWrite(f *snapshot.File[machine], v *version, next *snapshot.Snapshot[machine], want error) error {
	before, err := os.ReadFile(f.Path())
	if err != nil {
		return err
	}
	revision, entries := v.Snapshot.Revision(), v.Snapshot.Len()
	p, err := f.Prepare(v, next)
	if err == nil {
		return fmt.Errorf("Prepare succeeds (%v), want %v", p.Discard(), want)
	}
	if !errors.Is(err, want) || !strings.Contains(err.Error(), f.Path()) {
		return fmt.Errorf("Prepare: %v, want %v and the path", err, want)
	}
	after, err := os.ReadFile(f.Path())
	if err != nil || !bytes.Equal(before, after) {
		return fmt.Errorf("the file was changed, %v", err)
	}
	if same, err := f.Unchanged(v); !same || err != nil {
		return fmt.Errorf("Unchanged = %t, %v", same, err)
	}
	if v.Snapshot.Revision() != revision || v.Snapshot.Len() != entries {
		return errors.New("the snapshot was changed")
	}
	names, err := os.ReadDir(filepath.Dir(f.Path()))
	if err != nil || len(names) != 1 {
		return fmt.Errorf("left behind: %v, %v", names, err)
	}
	return nil
}

const childEnv = "SNAPSHOT_TEST_LIMITED"

// The limit is the whole process's, so the process is a child.
func TestFileSizeLimit(t *testing.T) {
	if dir := os.Getenv(childEnv); dir != "" {
		signal.Ignore(syscall.SIGXFSZ)
		f := fileIn(t, dir, snapshot.FileOptions{})
		v := load(t, f, nil)
		next := fleet(t, machines(t), 5000)
		const limit = 64 << 10
		if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: limit, Max: limit}); err != nil {
			t.Fatal(err)
		}
		if err := checkFailedWrite(f, v, next, unix.EFBIG); err != nil {
			t.Error(err)
		}
		return
	}
	dir := t.TempDir()
	f := fileIn(t, dir, snapshot.FileOptions{})
	mustReplace(t, f, load(t, f, nil), realistic(0))
	child := exec.Command(os.Args[0], "-test.run=^TestFileSizeLimit$", "-test.v")
	child.Env = append(os.Environ(), childEnv+"="+dir)
	out, err := child.CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte("--- PASS: TestFileSizeLimit")) {
		t.Errorf("child: %v\n%s", err, out)
	}
}

func TestReadOnlyDirectory(t *testing.T) {
	dir := t.TempDir()
	f := fileIn(t, dir, snapshot.FileOptions{})
	v := mustReplace(t, f, load(t, f, nil), realistic(0))
	if err := os.Chmod(dir, 0o555); err != nil {
		t.Fatal(err)
	}
	defer os.Chmod(dir, 0o755)
	asNobody(t, func() {
		if err := checkFailedWrite(f, v, fleet(t, machines(t), 3), unix.EACCES); err != nil {
			t.Error(err)
		}
		if again, err := f.Load(nil, nil); err != nil || again.Snapshot.Revision() != 1 {
			t.Errorf("Load = %+v, %v", again, err)
		}
	})
}

// Who may not keep the group gives the new one no more than everybody has.
func TestGroupLost(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("NOT TESTED: only root can set up a file of another group")
	}
	dir := t.TempDir()
	f := fileIn(t, dir, snapshot.FileOptions{})
	v := mustReplace(t, f, load(t, f, nil), realistic(0))
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(f.Path(), 0o664); err != nil {
		t.Fatal(err)
	}
	asNobody(t, func() { mustReplace(t, f, v, realistic(1)) })
	var st unix.Stat_t
	if err := unix.Stat(f.Path(), &st); err != nil {
		t.Fatal(err)
	}
	if st.Gid == 0 || mode(t, f.Path()) != 0o644 {
		t.Errorf("group %d, mode %v, want not root's and 0644", st.Gid, mode(t, f.Path()))
	}
}

func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	mountSmall(t, dir, 256<<10)
	f := fileIn(t, dir, snapshot.FileOptions{})
	v := mustReplace(t, f, load(t, f, nil), realistic(0))
	if err := checkFailedWrite(f, v, fleet(t, machines(t), 5000), unix.ENOSPC); err != nil {
		t.Error(err)
	}
	mustReplace(t, f, v, realistic(1)) // and the next one that fits is written
	onlyFile(t, dir)
}

// Sockets, pipes and what else one process holds open are no registry's
// business, but descriptors are: a version holds one, until it is closed.
func TestDescriptors(t *testing.T) {
	f := fileIn(t, t.TempDir(), snapshot.FileOptions{})
	v := mustReplace(t, f, load(t, f, nil), realistic(0))
	before := descriptors(t)
	for i := range 20 {
		loaded, err := f.Load(v, nil)
		if err != nil {
			t.Fatal(err)
		}
		loaded.Close()
		next := mustReplace(t, f, v, realistic(i))
		v.Close()
		v = next
	}
	writeFile(t, f.Path(), "{")
	for range 20 {
		if _, err := f.Load(v, nil); err == nil {
			t.Fatal("half a file is accepted")
		}
	}
	if after := descriptors(t); after != before {
		t.Errorf("%d descriptors are open, want %d", after, before)
	}
}

func descriptors(t *testing.T) int {
	d, err := os.Open("/dev/fd")
	if err != nil {
		t.Skipf("NOT TESTED: open descriptors cannot be counted here: %v", err)
	}
	defer d.Close()
	names, err := d.Readdirnames(-1)
	if err != nil && err != io.EOF {
		t.Fatal(err)
	}
	return len(names)
}

// A poller asks this many times a second.
func TestUnchangedAllocations(t *testing.T) {
	f := fileIn(t, t.TempDir(), snapshot.FileOptions{})
	v := mustReplace(t, f, load(t, f, nil), realistic(0))
	if n := testing.AllocsPerRun(100, func() { f.Unchanged(v) }); n > 2 {
		t.Errorf("Unchanged allocates %v times, want 2", n)
	}
}
