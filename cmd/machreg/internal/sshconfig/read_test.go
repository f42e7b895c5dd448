package sshconfig_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/machreg/machreg/cmd/machreg/internal/sshconfig"
)

func read(t *testing.T, text string) *sshconfig.Config {
	t.Helper()
	c, err := sshconfig.Read("config", []byte(text), "/home/me")
	if err != nil {
		t.Fatalf("Read(%q): %v", text, err)
	}
	return c
}

// line is a host as a line, for comparisons.
func line(h sshconfig.Host) string {
	return strings.TrimSpace(fmt.Sprintf("%s %s %s %s", h.Alias, h.Destination, h.IdentityFile, h.TownPath))
}

func TestRead(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       []string
	}{
		{"nothing", "", nil},
		{"no host line", "User u\n", nil},
		{"an alias", "Host a", []string{"a a"}},
		{"several aliases", "Host a b\nHostName %h.net\n", []string{"a a.net", "b b.net"}},
		{"tabs and equals signs", "Host\ta\tb\n\tUser=\tu\n Port = 2222 \n", []string{"a ssh://u@a:2222", "b ssh://u@b:2222"}},
		{"keywords in any case", "hOsT a\nHOSTNAME h\nuser u", []string{"a u@h"}},
		{"quotes", "Host \"a\" 'b'\nIdentityFile \"~/my keys/id\"\n", []string{"a a ~/my keys/id", "b b ~/my keys/id"}},
		{"a comment at the end of a line", "Host a # b\nUser u # v\n", []string{"a u@a"}},
		{"a hash within a word", "Host a#b\nHostName x#y\n", []string{"a#b x#y"}},
		{"the first value wins", "Host a\nUser u\nUser v\nHost a\nUser w\nPort 22\n", []string{"a u@a"}},
		{"what stands first is for all", "User u\nHost a\n", []string{"a u@a"}},
		{"wildcards apply", "Host a\nHost *\nUser u\n", []string{"a u@a"}},
		{"a question mark is one character", "Host web? web\nUser u\nHost web web1 web12\n", []string{"web u@web", "web1 u@web1", "web12 web12"}},
		{"negation", "Host a b\nHost * !b\nUser u\n", []string{"a u@a", "b b"}},
		{"negation of itself", "Host a !a\nHost !b\n", nil},
		{"case matters", "Host A\nHost a\nUser u\n", []string{"A A", "a u@a"}},
		{"address with a port", "Host a\nHostName 2001:db8::1\nPort 2222\n", []string{"a ssh://[2001:db8::1]:2222"}},
		{"port 22 is no port", "Host a\nPort 22\n", []string{"a a"}},
		{"tokens", "Host a\nHostName %h.%%x\nUser u\nIdentityFile %d/%n-%h-%r-%p-%%\n", []string{"a u@a.%x ~/a-a.%x-u-22-%"}},
		{"tokens that are not known", "Host a\nIdentityFile ~/%C\n", []string{"a a ~/%C"}},
		{"no identity", "Host a\nIdentityFile none\n", []string{"a a"}},
		{"match all", "Host a\nMatch all\nUser u\n", []string{"a u@a"}},
		{"match originalhost", "Host a b\nMatch originalhost a,c\nUser u\n", []string{"a u@a", "b b"}},
		{"match that cannot be followed", "Host a\nMatch host a\nUser u\nHost b\nUser v\n", []string{"a a", "b v@b"}},
		{"a block that cannot be read", "Host a\nHost \"b\nUser u\nHost c\n", []string{"a a", "c c"}},
		{"options for ssh only", "Host a\nSomethingNew yes\nForwardAgent yes\n", []string{"a a"}},
		{"town path", "Host a\n  # town_path: /srv/my town #1\n#town_path:/other\n", []string{"a a  /srv/my town #1"}},
		{"carriage returns", "Host a\r\n  User u\r\n", []string{"a u@a"}},
		{"user with an at sign", "Host a\nUser u@corp\nPort 2\n", []string{"a ssh://u%40corp@a:2"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			for _, h := range read(t, c.text).Hosts {
				got = append(got, line(h))
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("Read(%q) = %q, want %q", c.text, got, c.want)
			}
		})
	}
}

func TestReadWarns(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"\nMatch exec x\n", "config:2: block ignored: Match exec x"},
		{"Host\n", "config:1: block ignored: no pattern"},
		{"User \"u\n", "config:1: line ignored: a quote is not closed"},
		{"User\n", "config:1: line ignored: user has no value"},
		{"Host a\nProxyJump b\n", "config:2: ProxyJump is not kept"},
		{"Host a\nPort 70000\n", `config:1: "a" is not taken over: port "70000"`},
		{"Host -a\n", `config:1: "-a" is not taken over`},
		{"Host a\nUser -u\n", `config:1: "a" is not taken over`},
		{"Host a\nInclude x\n", "config:2: not included: Include inside a block"},
		{"Host a\nIdentityFile ~/%C\n", `config:1: "a": identity file "~/%C" is kept as it is`},
	} {
		w := read(t, c.text).Warnings
		if len(w) != 1 || !strings.HasPrefix(w[0].At.String()+": "+w[0].Text, c.want) {
			t.Errorf("Read(%q) warns %v, want %q", c.text, w, c.want)
		}
	}
	if w := read(t, "Host a\nProxyJump none\nForwardAgent yes\nHost *\nIdentityFile a\nIdentityFile b\n").Warnings; len(w) > 0 {
		t.Errorf("warnings %v, want none", w)
	}
	if c := read(t, "Host a\nHost *.b\nHost * !c\n"); c.Wildcards != 2 {
		t.Errorf("%d wildcard blocks, want 2", c.Wildcards)
	}
}

func TestInclude(t *testing.T) {
	home := t.TempDir()
	put := func(path, text string) {
		t.Helper()
		path = filepath.Join(home, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	put(".ssh/conf.d/1", "Host one\n  User u1\n")
	put(".ssh/conf.d/2", "Host two\nInclude ~/deeper\n")
	put("deeper", "Host three\n")
	put(".ssh/loop", "Include loop loop\nHost looped\n")
	put(".ssh/dir/file", "")
	for _, c := range []struct {
		text string
		want []string
		warn string
	}{
		{"Include conf.d/*\nUser late\nHost me\n", []string{"one u1@one", "two late@two", "me late@me"}, "Include inside a block"},
		{"Include nobody\nHost me\n", []string{"me me"}, ""},
		{"Include " + filepath.Join(home, "deeper") + "\n", []string{"three three"}, ""},
		{"Host *\nInclude ~/deeper\nUser u\n", []string{"three u@three"}, ""},
		{"Include dir\n", nil, "is not a regular file"},
		{"Include [\n", nil, "syntax error in pattern"},
		{"Include loop\n", []string{"looped looped"}, "more than"},
	} {
		config, err := sshconfig.Read("config", []byte(c.text), home)
		if err != nil {
			t.Fatalf("Read(%q): %v", c.text, err)
		}
		var got []string
		for _, h := range config.Hosts {
			got = append(got, line(h))
		}
		warned := fmt.Sprint(config.Warnings)
		if !slices.Equal(got, c.want) || !strings.Contains(warned, c.warn) || c.warn == "" && len(config.Warnings) > 0 {
			t.Errorf("Read(%q) = %q, warnings %s; want %q, %q", c.text, got, warned, c.want, c.warn)
		}
	}
}

func TestReadFileRefuses(t *testing.T) {
	dir := t.TempDir()
	if _, err := sshconfig.ReadFile(dir); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("ReadFile of a directory: %v", err)
	}
	large := filepath.Join(dir, "large")
	if err := os.WriteFile(large, make([]byte, 5<<20), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := sshconfig.ReadFile(large); err == nil || !strings.Contains(err.Error(), "larger than") {
		t.Errorf("ReadFile of 5 MiB: %v", err)
	}
}
