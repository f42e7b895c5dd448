package wholefile_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/machreg/machreg/cmd/internal/wholefile"
)

func text(s string) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := io.WriteString(w, s)
		return err
	}
}

// holds checks that a directory holds one file, and what is in it.
func holds(t *testing.T, path, want string) {
	t.Helper()
	got, err := os.ReadFile(path)
	if err != nil || string(got) != want {
		t.Errorf("%s holds %q, %v, want %q", filepath.Base(path), got, err, want)
	}
	if list, err := os.ReadDir(filepath.Dir(path)); err != nil || len(list) != 1 {
		t.Errorf("the directory holds %v, %v, want the file alone", list, err)
	}
}

func TestWrite(t *testing.T) {
	path := filepath.Join(t.TempDir(), "report")
	for _, s := range []string{"first, and longer", "second"} {
		if err := wholefile.Probe(path); err != nil {
			t.Fatalf("Probe: %v", err)
		}
		if err := wholefile.Write(path, text(s)); err != nil {
			t.Fatalf("Write: %v", err)
		}
		holds(t, path, s)
	}
	full := errors.New("disk full")
	err := wholefile.Write(path, func(w io.Writer) error {
		if err := text("half of the th")(w); err != nil {
			return err
		}
		holds := func() string { b, _ := os.ReadFile(path); return string(b) }
		if got := holds(); got != "second" {
			t.Errorf("while it is written the file holds %q", got)
		}
		return full
	})
	if !errors.Is(err, full) {
		t.Errorf("Write = %v, want %v", err, full)
	}
	holds(t, path, "second")
	if err := wholefile.Write(filepath.Dir(path), text("x")); err == nil {
		t.Error("Write of a directory succeeded")
	}
}

func TestPermissionsStay(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("NOT TESTED: Windows has no such permissions")
	}
	path := filepath.Join(t.TempDir(), "draft")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := wholefile.Write(path, text("x")); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v, want 0600", info.Mode(), err)
	}
}

func TestLinkStays(t *testing.T) {
	link, target := filepath.Join(t.TempDir(), "link"), filepath.Join(t.TempDir(), "target")
	if err := os.WriteFile(target, []byte("old"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(target, link); err != nil {
		t.Skipf("NOT TESTED: links cannot be made here: %v", err)
	}
	if err := wholefile.Write(link, text("new")); err != nil {
		t.Fatal(err)
	}
	holds(t, target, "new")
	if to, err := os.Readlink(link); err != nil || to != target {
		t.Errorf("the link leads to %q, %v, want %q", to, err, target)
	}
}

// The null device must be a device afterwards, also where root may replace it.
func TestDevice(t *testing.T) {
	if err := wholefile.Write(os.DevNull, text("x")); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(os.DevNull); err != nil || info.Mode().IsRegular() {
		t.Errorf("%s is now %v, %v", os.DevNull, info.Mode(), err)
	}
}
