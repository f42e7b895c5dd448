//go:build !unix

package registry_test

import "os"

var notFiles = map[string]func(path string) error{
	"a directory": func(path string) error { return os.Mkdir(path, 0o755) },
}
