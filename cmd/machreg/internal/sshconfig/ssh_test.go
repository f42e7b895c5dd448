package sshconfig_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/machreg/machreg/cmd/machreg/internal/sshconfig"
)

// askSSH returns what the real ssh makes of a destination, option by option;
// the first value of each.
func askSSH(t *testing.T, config string, args ...string) map[string]string {
	t.Helper()
	ssh, err := exec.LookPath("ssh")
	if err != nil {
		t.Skip("NOT TESTED: no ssh here, so nothing is compared with the real one")
	}
	path := filepath.Join(t.TempDir(), "config")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), ssh, append([]string{"-G", "-F", path}, args...)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Errorf("ssh -G %q: %v\n%s\nwith\n%s", args, err, stderr.String(), config)
	}
	options := make(map[string]string)
	for l := range strings.Lines(string(out)) {
		key, value, _ := strings.Cut(strings.TrimSuffix(l, "\n"), " ")
		if _, again := options[key]; !again {
			options[key] = value
		}
	}
	return options
}

// TestReadAgreesWithSSH compares what is read with what the real ssh would do.
func TestReadAgreesWithSSH(t *testing.T) {
	example, err := os.ReadFile("../../../../examples/ssh_config")
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{
		string(example),
		"User first\nHost a b\n  HostName %h.example.net\n  IdentityFile ~/k\nHost *\n  IdentityFile ~/all\n  User late\n",
		"Host\ta\tb#c\n\tUser=\tu\n Port = 2222 \n IdentityFile \"~/my keys/id\"\n",
		"Host web? web\n  User u\nHost web web1 web12\n  Port 7\n",
		"Host a b\nHost * !b\n  User u\nMatch all\n  Port 9\nMatch originalhost b,c\n  User v\n",
		"hOsT a # comment\nHOSTNAME h # comment\nuser u#v\n",
		"Host A\nHost a\n User u\n",
		"Host v6\n HostName 2001:db8::1\n Port 2222\n",
	} {
		config, err := sshconfig.Read("config", []byte(text), "/home/me")
		if err != nil {
			t.Fatal(err)
		}
		if len(config.Hosts) == 0 {
			t.Errorf("no hosts in\n%s", text)
		}
		for _, h := range config.Hosts {
			want := askSSH(t, text, "--", h.Alias)
			got := map[string]string{"hostname": h.Host, "port": "22"}
			if h.Port != 0 {
				got["port"] = strings.TrimPrefix((sshconfig.Destination{Host: "x", Port: h.Port}).Address(h.Port), "x:")
			}
			if h.User != "" {
				got["user"] = h.User
			}
			if h.IdentityFile != "" {
				got["identityfile"] = h.IdentityFile
			}
			for key, value := range got {
				// ssh folds the case of a name that it was not told.
				if !strings.EqualFold(value, want[key]) {
					t.Errorf("%s: %s is %q, ssh says %q, with\n%s", h.Alias, key, value, want[key], text)
				}
			}
		}
	}
}

// TestSSHTakesDestinations: the text form is one that ssh itself understands,
// but for an IPv6 address with a port.
func TestSSHTakesDestinations(t *testing.T) {
	for _, d := range []sshconfig.Destination{
		{Host: "h.example.net"}, {User: "u", Host: "h"}, {User: "u", Host: "h", Port: 2222}, {Host: "192.0.2.1", Port: 1},
		{User: "u@corp", Host: "h", Port: 2222}, {User: "u", Host: "2001:db8::1"},
	} {
		options := askSSH(t, "", "--", d.String())
		if options["hostname"] != d.Host || d.User != "" && options["user"] != d.User || d.Port != 0 && options["port"] != strings.TrimPrefix(d.Address(d.Port), d.Host+":") {
			t.Errorf("ssh takes %q for %s@%s:%s", d, options["user"], options["hostname"], options["port"])
		}
	}
}
