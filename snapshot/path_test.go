package snapshot_test

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/machreg/machreg/snapshot"
)

func TestResolve(t *testing.T) {
	root, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	in := func(path string) string { return root + "/" + path }
	for _, dir := range []string{"real/deep", "other"} {
		if err := os.MkdirAll(in(dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	writeFile(t, in("real/file"), "{}")
	for _, link := range [][2]string{ // where it stands, what it says
		{"other/link", "../real/file"},
		{"other/twice", "link"},
		{"other/dangling", "../real/none"},
		{"other/dangling-twice", "dangling"},
		{"other/absolute", in("real/none")},
		{"dir", "real/deep"},
		{"real/deep/up", "../none"}, // means another file by way of dir than it looks
		{"other/nowhere", "missing/dir/file"},
		{"loop-a", "loop-b"},
		{"loop-b", "loop-a"},
	} {
		if err := os.Symlink(link[1], in(link[0])); err != nil {
			if runtime.GOOS == "windows" {
				t.Skipf("NOT TESTED: links cannot be made here: %v", err)
			}
			t.Fatal(err)
		}
	}
	for path, want := range map[string]string{
		"real/file":            "real/file",
		"real/none":            "real/none",
		"real//deep/./../file": "real/file",
		"other/link":           "real/file",
		"other/twice":          "real/file",
		"other/dangling":       "real/none",
		"other/dangling-twice": "real/none",
		"other/absolute":       "real/none",
		"dir/../file":          "real/file",
		"dir/../none":          "real/none",
		"dir/none":             "real/deep/none",
		"dir/up":               "real/none",
		"dir/new/er/file":      "real/deep/new/er/file",
		"other/nowhere":        "other/missing/dir/file",
	} {
		if got, err := snapshot.Resolve(in(path)); got != filepath.FromSlash(in(want)) || err != nil {
			t.Errorf("Resolve(%q) = %q, %v, want %q", path, got, err, want)
		}
		for _, wd := range []string{"", "real/deep", "dir"} {
			t.Chdir(in(wd))
			relative := strings.Repeat("../", len(strings.Split(strings.Replace(wd, "dir", "real/deep", 1), "/"))) + path
			if wd == "" {
				relative = path
			}
			if got, err := snapshot.Resolve(relative); got != filepath.FromSlash(in(want)) || err != nil {
				t.Errorf("Resolve(%q) in %q = %q, %v, want %q", relative, wd, got, err, want)
			}
		}
	}
	for _, path := range []string{"", in("loop-a"), in("loop-a/file"), in("real/file/below")} {
		if got, err := snapshot.Resolve(path); err == nil {
			t.Errorf("Resolve(%q) = %q", path, got)
		} else if !strings.HasPrefix(err.Error(), "registry path ") {
			t.Errorf("Resolve(%q): %v", path, err)
		}
	}
}
