package sshconfig

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

// Destination is where ssh connects to. Its text form is one that the ssh
// program takes as its destination: host or user@host and, only if the port is
// not 22, ssh://user@host:port. (An IPv6 address with a port is written
// ssh://user@[address]:port, which ssh itself does not accept.)
type Destination struct {
	User string // empty: ssh decides
	Host string // a name or an address, without brackets
	Port int    // 0: ssh decides, which means 22
}

const scheme = "ssh://"

// ParseDestination reads what String writes. It refuses what ssh would take for
// an option.
func ParseDestination(s string) (Destination, error) {
	d, err := parseDestination(s)
	if err == nil {
		err = d.check()
	}
	if err != nil {
		return Destination{}, fmt.Errorf("destination %q: %w", s, err)
	}
	return d, nil
}

func parseDestination(s string) (d Destination, err error) {
	rest, isURI := strings.CutPrefix(s, scheme)
	// The last @, as ssh does: user names may have one.
	at := strings.LastIndexByte(rest, '@')
	if at == 0 {
		return d, errors.New("the user is empty")
	}
	if at > 0 {
		d.User, rest = rest[:at], rest[at+1:]
	}
	d.Host = rest
	if !isURI {
		return d, nil
	}
	if d.User, err = url.PathUnescape(d.User); err != nil {
		return d, err
	}
	rest = strings.TrimSuffix(rest, "/")
	port, hasPort := "", false
	if bracketed, ok := strings.CutPrefix(rest, "["); ok {
		var after string
		if d.Host, after, ok = strings.Cut(bracketed, "]"); !ok {
			return d, errors.New("the bracket is not closed")
		}
		if port, hasPort = strings.CutPrefix(after, ":"); !hasPort && after != "" {
			return d, fmt.Errorf("%q after the address", after)
		}
	} else {
		d.Host, port, hasPort = strings.Cut(rest, ":")
	}
	if hasPort {
		d.Port, err = ParsePort(port)
	}
	return d, err
}

// ParsePort reads the number of a port.
func ParsePort(s string) (int, error) {
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil || n == 0 || s[0] == '+' {
		return 0, fmt.Errorf("port %q: want a number from 1 to 65535", s)
	}
	return int(n), nil
}

func (d Destination) check() error {
	switch {
	case d.Host == "":
		return errors.New("the host is empty")
	case strings.HasPrefix(d.Host, "-"), strings.HasPrefix(d.User, "-"):
		return fmt.Errorf("neither host nor user may begin with %q", "-")
	case strings.ContainsAny(d.Host, "@/[]"):
		return errors.New("the host is not a host name or address")
	}
	return nil
}

// String is the text form.
func (d Destination) String() string {
	if d.Port == 0 || d.Port == 22 {
		return d.Account()
	}
	host := d.Address(d.Port)
	if d.User != "" {
		host = escapeUser(d.User) + "@" + host
	}
	return scheme + host
}

// Address is the host with a port; a port of 0 is left out.
func (d Destination) Address(port int) string {
	host := d.Host
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if port == 0 {
		return host
	}
	return host + ":" + strconv.Itoa(port)
}

// Account is host or user@host.
func (d Destination) Account() string {
	if d.User == "" {
		return d.Host
	}
	return d.User + "@" + d.Host
}

func escapeUser(user string) string {
	var b strings.Builder
	for i := range len(user) {
		if c := user[i]; isUnreserved(c) {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

func isUnreserved(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' ||
		strings.IndexByte("-._~", c) >= 0
}
