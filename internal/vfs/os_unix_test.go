//go:build unix

package vfs_test

import (
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/machreg/machreg/internal/vfs"
)

// None of these waits for somebody at the other end.
func TestOpenDoesNotBlock(t *testing.T) {
	dir := t.TempDir()
	fifo := filepath.Join(dir, "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]fs.FileMode{
		fifo:        fs.ModeNamedPipe,
		dir:         fs.ModeDir,
		"/dev/null": fs.ModeDevice | fs.ModeCharDevice,
	} {
		f, err := vfs.OS.Open(name)
		if err != nil {
			t.Errorf("Open(%q): %v", name, err)
			continue
		}
		if got := fstat(t, f).Mode.Type(); got != want {
			t.Errorf("Open(%q) is %v, want %v", name, got, want)
		}
		f.Close()
	}
	// The path of a socket has to be short.
	short, err := os.MkdirTemp("/tmp", "vfs")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(short)
	name := filepath.Join(short, "s")
	l, err := net.Listen("unix", name)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if f, err := vfs.OS.Open(name); err == nil {
		t.Errorf("Open of a socket = %v", f)
	}
	if got := stat(t, name).Mode.Type(); got != fs.ModeSocket {
		t.Errorf("Stat of a socket is %v", got)
	}
}

func TestLinks(t *testing.T) {
	dir := t.TempDir()
	a, b, c := filepath.Join(dir, "a"), filepath.Join(dir, "b"), filepath.Join(dir, "c")
	write(t, a, "x")
	if err := os.Link(a, b); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("a", c); err != nil {
		t.Fatal(err)
	}
	if got := stat(t, a).Links; got != 2 {
		t.Errorf("Links = %d, want 2", got)
	}
	if !stat(t, a).SameFile(stat(t, b)) || !stat(t, a).SameFile(stat(t, c)) {
		t.Error("links are not the same file")
	}
}
