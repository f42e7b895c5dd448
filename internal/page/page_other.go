//go:build !(linux || darwin || freebsd)

package page

func lookAt(string) (place, error)                   { return place{}, ErrUnsupported }
func openAt(string, place, uint64) (*Mapping, error) { return nil, ErrUnsupported }
func retireAt(string, place) error                   { return nil }
func supported(string) error                         { return ErrUnsupported }
