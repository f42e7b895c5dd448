package sshconfig

import (
	"errors"
	"fmt"
	"strings"
)

// ErrInexpressible is a host that ssh could not be told about.
var ErrInexpressible = errors.New("ssh cannot express it")

// refused are the characters that ssh refuses in names of hosts.
const refused = "'`\"$\\;&<>|(){}, \t"

// Block is the configuration of one host, such that Read gives the same host and
// ssh accepts it. The error matches [ErrInexpressible] if there is no such block.
func (h Host) Block() (string, error) {
	if err := expressible(h); err != nil {
		return "", fmt.Errorf("%w: %w", ErrInexpressible, err)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "Host %s\n", Quote(h.Alias))
	fmt.Fprintf(&b, "    HostName %s\n", Quote(strings.ReplaceAll(h.Host, "%", "%%")))
	if h.User != "" {
		fmt.Fprintf(&b, "    User %s\n", Quote(h.User))
	}
	if h.Port != 0 && h.Port != 22 {
		fmt.Fprintf(&b, "    Port %d\n", h.Port)
	}
	if h.IdentityFile != "" {
		fmt.Fprintf(&b, "    IdentityFile %s\n", Quote(strings.ReplaceAll(h.IdentityFile, "%", "%%")))
	}
	if h.TownPath != "" {
		fmt.Fprintf(&b, "    # %s %s\n", townPathComment, h.TownPath)
	}
	return b.String(), nil
}

func expressible(h Host) error {
	switch {
	case h.Alias == "" || strings.HasPrefix(h.Alias, "-"):
		return errors.New("the name is taken for an option")
	case isWildcard(h.Alias):
		return errors.New("the name is a pattern")
	case strings.ContainsAny(h.Alias, refused) || strings.ContainsAny(h.Alias, "@"):
		return errors.New("the name has a character that ssh refuses or takes for another part")
	case strings.HasPrefix(h.Alias, scheme):
		return errors.New("the name is taken for an address")
	case strings.ContainsAny(h.Host, refused):
		return fmt.Errorf("the host %q has a character that ssh refuses", h.Host)
	case strings.ContainsAny(h.User, "'`\";&<>|(){}\\%$"):
		return fmt.Errorf("the user %q has a character that ssh refuses", h.User)
	case strings.EqualFold(h.IdentityFile, "none"), strings.Contains(h.IdentityFile, "${"):
		return fmt.Errorf("the key path %q means something else to ssh", h.IdentityFile)
	case h.TownPath != strings.TrimSpace(h.TownPath):
		return fmt.Errorf("the town path %q has space around it", h.TownPath)
	}
	for _, s := range []string{h.Alias, h.Host, h.User, h.IdentityFile, h.TownPath} {
		if strings.ContainsAny(s, "\n\r\x00") {
			return fmt.Errorf("%q has a line break", s)
		}
	}
	return h.check()
}
