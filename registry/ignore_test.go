package registry_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/machreg/machreg/registry"
)

// The directory that a registry makes beside its file is nothing for version
// control. One that others made is theirs.
func TestOwnDirectoryIsIgnored(t *testing.T) {
	const whole = `{"version":1,"machines":{}}`
	for _, tt := range []struct {
		name    string
		opts    *registry.Options
		prepare func(t *testing.T, path string)
		write   bool
		want    string // empty: there is no such file
	}{
		{"a first write", nil, nil, true, "*\n"},
		{"opening for writing what another program wrote", nil, func(t *testing.T, path string) { mustWrite(t, path, whole) }, false, "*\n"},
		{"opening for reading only", &registry.Options{ReadOnly: true}, func(t *testing.T, path string) { mustWrite(t, path, whole) }, false, ""},
		{"a directory that was there", nil, func(t *testing.T, path string) { makeFile(t, gitignore(path)+".other", "") }, true, ""},
		{"a file that was there", nil, func(t *testing.T, path string) { makeFile(t, gitignore(path), "mine\n") }, true, "mine\n"},
		{"a lock directory that was given", &registry.Options{LockDir: t.TempDir()}, nil, true, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := newPath(t)
			if tt.prepare != nil {
				tt.prepare(t, path)
			}
			r := open(t, path, tt.opts)
			if tt.write {
				add(t, r, "a")
			}
			got, err := os.ReadFile(gitignore(path))
			if string(got) != tt.want || (err == nil) != (tt.want != "") {
				t.Errorf("%q holds %q, %v, want %q", gitignore(path), got, err, tt.want)
			}
		})
	}
}

func gitignore(path string) string {
	return filepath.Join(filepath.Dir(path), ".gastown", ".gitignore")
}

func makeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	mustWrite(t, path, text)
}
