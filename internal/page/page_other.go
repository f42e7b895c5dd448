//go:build !(linux || darwin || freebsd)

package page

type identity struct{}

func identify(string) (identity, error)     { return identity{}, ErrUnsupported }
func open(string, uint64) (*Mapping, error) { return nil, ErrUnsupported }
func retireAt(string) error                 { return nil }
func supported(string) error                { return ErrUnsupported }
