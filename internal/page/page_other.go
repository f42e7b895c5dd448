//go:build !(linux || darwin || freebsd)

package page

func mapAt(string) (*Mapping, error) { return nil, ErrUnsupported }

func supported(string) error { return ErrUnsupported }
