package sshconfig_test

import (
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/machreg/machreg/cmd/machreg/internal/sshconfig"
	"github.com/machreg/machreg/snapshot"
)

// word draws text with the characters that configurations and addresses give a
// meaning to.
func word() *rapid.Generator[string] {
	return rapid.StringOf(rapid.SampledFrom([]rune(`ab1-_.%#"'\ =@:/*?!$[]äö日{}~`))).Filter(func(s string) bool {
		return s == strings.TrimSpace(s)
	})
}

func TestDestinationRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := sshconfig.Destination{
			User: word().Draw(t, "user"),
			Host: word().Draw(t, "host"),
			Port: rapid.IntRange(0, 65535).Draw(t, "port"),
		}
		back, err := sshconfig.ParseDestination(d.String())
		if err != nil {
			return // nothing that ssh could be given
		}
		if d.Port == 22 {
			d.Port = 0
		}
		plain := d.Port == 0 && strings.HasPrefix(d.String(), "ssh://")
		if back != d && !plain && !strings.ContainsAny(d.Host, "@/[]:") {
			t.Fatalf("%#v is written %q and read %#v", d, d.String(), back)
		}
	})
}

func TestParseDestination(t *testing.T) {
	for _, c := range []struct {
		text string
		want sshconfig.Destination
	}{
		{"h", sshconfig.Destination{Host: "h"}},
		{"u@h", sshconfig.Destination{User: "u", Host: "h"}},
		{"u@corp@h", sshconfig.Destination{User: "u@corp", Host: "h"}},
		{"u@2001:db8::1", sshconfig.Destination{User: "u", Host: "2001:db8::1"}},
		{"ssh://h", sshconfig.Destination{Host: "h"}},
		{"ssh://u@h:2222", sshconfig.Destination{User: "u", Host: "h", Port: 2222}},
		{"ssh://u%40corp@h:1/", sshconfig.Destination{User: "u@corp", Host: "h", Port: 1}},
		{"ssh://[2001:db8::1]:2222", sshconfig.Destination{Host: "2001:db8::1", Port: 2222}},
		{"ssh://u@[::1]", sshconfig.Destination{User: "u", Host: "::1"}},
	} {
		got, err := sshconfig.ParseDestination(c.text)
		if err != nil || got != c.want {
			t.Errorf("ParseDestination(%q) = %#v, %v; want %#v", c.text, got, err, c.want)
		}
	}
	for _, bad := range []string{
		"", "@h", "u@", "-h", "-u@h", "u@-h", "ssh://", "ssh://-h", "ssh://u@-h:1", "ssh://%2Du@h", "ssh://h:", "ssh://h:0",
		"ssh://h:65536", "ssh://h:+1", "ssh://h:1x", "ssh://h/path", "ssh://[::1", "ssh://[::1]x", "ssh://%zz@h", "ssh://@h",
	} {
		if got, err := sshconfig.ParseDestination(bad); err == nil {
			t.Errorf("ParseDestination(%q) = %#v, want an error", bad, got)
		}
	}
}

// same reports whether two hosts differ in nothing that a machine has.
func same(a, b sshconfig.Host) bool {
	a.At, b.At = sshconfig.Position{}, sshconfig.Position{}
	return a == b
}

func checkRoundTrip(t interface{ Fatalf(string, ...any) }, h sshconfig.Host) {
	text, err := h.Block()
	if err != nil {
		if !errors.Is(err, sshconfig.ErrInexpressible) {
			t.Fatalf("Block(%#v): %v", h, err)
		}
		return
	}
	c, err := sshconfig.Read("config", []byte(text), "/home/me")
	if err != nil || len(c.Hosts) != 1 || len(c.Warnings) != 0 || !same(c.Hosts[0], h) {
		t.Fatalf("%#v is written\n%s\nand read %#v, %v", h, text, c, err)
	}
}

func TestBlockRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		port := rapid.IntRange(0, 65535).Draw(t, "port")
		if port == 22 {
			port = 0
		}
		checkRoundTrip(t, sshconfig.Host{
			Alias: word().Draw(t, "alias"),
			Destination: sshconfig.Destination{
				User: word().Draw(t, "user"),
				Host: word().Draw(t, "host"),
				Port: port,
			},
			IdentityFile: word().Draw(t, "identity"),
			TownPath:     word().Draw(t, "town"),
		})
	})
}

// FuzzSSHConfigImport reads anything. It must not panic, what it reads must be
// what ssh would accept as a destination, and written out it must be read as
// the same.
func FuzzSSHConfigImport(f *testing.F) {
	for _, text := range []string{
		"Host a b !c *.d\n  HostName %h.net\n  User u\n  Port 2222\n  IdentityFile ~/.ssh/id\n",
		"Host=a\nHostName = \"b c\"\n", "Match all\nUser u\nHost x\n", "Host \"a", "Host a#b # c\n\tPort\t9\n",
		"# town_path: /x\nHost t\n# town_path: /srv/t\n", "Include /nowhere/*\nHost %\n", "Host a\r\nUser \\\"u\\\"\r\n",
		"Host \x00\x1b\xff\n", "host\nHOST\nPort x\n", "Host a\nIdentityFile %d/%%/%h%C${X}\n", "Host a\nUser u@v\nPort 1\nHostName ::1\n",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if strings.Contains(strings.ToLower(string(text)), "include") && strings.ContainsAny(string(text), `/\`) {
			t.Skip("it may include files of this machine")
		}
		c, err := sshconfig.Read("config", text, "/home/me")
		if err != nil {
			return
		}
		for _, h := range c.Hosts {
			if h.Alias == "" || h.At.Line < 1 {
				t.Errorf("host %#v", h)
			}
			d, err := sshconfig.ParseDestination(h.Destination.String())
			if err == nil && (strings.HasPrefix(d.Host, "-") || strings.HasPrefix(d.User, "-")) {
				t.Errorf("destination %q", h.Destination)
			}
			if h.Port == 22 {
				h.Port = 0
			}
			if snapshot.CheckText(h.Alias+h.User+h.Host+h.IdentityFile+h.TownPath) == nil {
				checkRoundTrip(t, h)
			}
		}
	})
}
