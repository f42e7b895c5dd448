package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/machreg/machreg/cmd/machreg/internal/sshconfig"
	"github.com/machreg/machreg/registry"
)

// exportable are machines whose values have what formats quote.
var exportable = []registry.Machine{
	{Name: "plain", Type: "ssh", Host: "plain.example.net"},
	{Name: "user", Type: "ssh", Host: "ci@user.example.net", KeyPath: "~/.ssh/id", TownPath: "/srv/town"},
	{Name: "port", Type: "ssh", Host: "ssh://ci@port.example.net:2222", KeyPath: "~/my keys/id #1"},
	{Name: "six", Type: "ssh", Host: "ssh://[2001:db8::1]:2222"},
	{Name: "six-22", Type: "ssh", Host: "root@2001:db8::2"},
	{Name: "percent%h", Type: "ssh", Host: "h%25", KeyPath: "/keys/%h%%"},
	{Name: "hash#1", Type: "ssh", Host: "h", KeyPath: `C:\keys\id`},
	{Name: "no", Type: "ssh", Host: "yes", TownPath: "1e3"},
	{Name: "1:30", Type: "ssh", Host: "h10"},
	{Name: "équipe", Type: "ssh", Host: "h.example.net", TownPath: "/srv/équipe: {{ x }}"},
	{Name: "corp", Type: "ssh", Host: "u@corp@h.example.net"},
}

func registryOf(t *testing.T, machines []registry.Machine) (file string) {
	t.Helper()
	dir := t.TempDir()
	text, err := json.Marshal(machines)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "input.json"), string(text))
	file = filepath.Join(dir, "machines.json")
	machreg(t, 0, "-f", file, "apply", filepath.Join(dir, "input.json"))
	return file
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestExportSSHConfigIsAccepted asks the real ssh about every machine.
func TestExportSSHConfigIsAccepted(t *testing.T) {
	ssh, err := exec.LookPath("ssh")
	if err != nil {
		t.Skip("NOT TESTED: no ssh here, so the exported configuration is not tried")
	}
	file := registryOf(t, exportable)
	config, warnings := machreg(t, 0, "-f", file, "export", "ssh-config")
	path := filepath.Join(t.TempDir(), "config")
	write(t, path, config)
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, m := range exportable {
		if strings.Contains(warnings, fmt.Sprintf("%q is left out", m.Name)) {
			t.Errorf("%s is left out: %s", m.Name, warnings)
			continue
		}
		out, err := exec.Command(ssh, "-G", "-F", path, "--", m.Name).CombinedOutput()
		if err != nil {
			t.Errorf("ssh -G %q: %v\n%s", m.Name, err, out)
			continue
		}
		d, err := sshconfig.ParseDestination(m.Host)
		if err != nil {
			t.Fatal(err)
		}
		want := []string{"hostname " + d.Host}
		if d.User != "" {
			want = append(want, "user "+d.User)
		}
		if d.Port != 0 {
			want = append(want, fmt.Sprint("port ", d.Port))
		}
		if m.KeyPath != "" { // ssh prints it before it puts in tokens
			want = append(want, "identityfile "+strings.ReplaceAll(m.KeyPath, "%", "%%"))
		}
		for _, line := range want {
			if !strings.Contains("\n"+string(out), "\n"+line+"\n") {
				t.Errorf("ssh -G %q has no line %q", m.Name, line)
			}
		}
	}
	again := filepath.Join(t.TempDir(), "again.json")
	machreg(t, 0, "-f", again, "import", "ssh-config", path)
	if diff, _ := machreg(t, 0, "-f", again, "diff", file); diff != "" {
		t.Errorf("what was exported and imported differs:\n%s", diff)
	}
}

type inventory struct {
	All struct {
		Children map[string]struct {
			Hosts map[string]map[string]any
		}
	}
}

func TestExportAnsible(t *testing.T) {
	file := registryOf(t, exportable)
	text, warnings := machreg(t, 0, "-f", file, "export", "ansible")
	var inv inventory
	if err := yaml.Unmarshal([]byte(text), &inv); err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	for _, m := range exportable {
		host, ok := inv.All.Children["type_ssh"].Hosts[m.Name]
		if left := strings.Contains(warnings, fmt.Sprintf("%q is left out", m.Name)); ok == left {
			t.Errorf("%q: in the inventory %v, left out %v", m.Name, ok, left)
		}
		if ok && m.TownPath != "" && host["town_path"] != m.TownPath {
			t.Errorf("%q: town_path %v, want %q", m.Name, host["town_path"], m.TownPath)
		}
	}

	program, err := exec.LookPath("ansible-inventory")
	if err != nil {
		t.Skip("NOT TESTED: no ansible-inventory here, so the inventory was only parsed")
	}
	path := filepath.Join(t.TempDir(), "inventory.yaml")
	write(t, path, text)
	cmd := exec.CommandContext(t.Context(), program, "-i", path, "--list")
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir(), "ANSIBLE_INVENTORY_UNPARSED_FAILED=true", "LC_ALL=C.UTF-8")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("ansible-inventory: %v\n%s", err, out)
	}
	var list struct {
		Meta struct {
			Hostvars map[string]map[string]any
		} `json:"_meta"`
	}
	if err := json.Unmarshal(out, &list); err != nil {
		t.Fatal(err)
	}
	for name, want := range inv.All.Children["type_ssh"].Hosts {
		got := list.Meta.Hostvars[name]
		for key, value := range want {
			v := got[key]
			if unsafe, ok := v.(map[string]any); ok { // a string that is no template
				v = unsafe["__ansible_unsafe"]
			}
			if fmt.Sprint(v) != fmt.Sprint(value) {
				t.Errorf("ansible-inventory: %s of %q is %v, want %v", key, name, v, value)
			}
		}
	}
}

func TestExportPrometheus(t *testing.T) {
	file := registryOf(t, exportable)
	text, _ := machreg(t, 0, "-f", file, "export", "prometheus", "--port", "9256")
	var groups []targetGroup
	if err := json.Unmarshal([]byte(text), &groups); err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	targets := make(map[string]string)
	for _, g := range groups {
		if len(g.Targets) != 1 || strings.ContainsAny(g.Targets[0], "/@") {
			t.Errorf("targets %q", g.Targets)
		}
		targets[g.Labels["machine"]] = g.Targets[0]
	}
	for name, want := range map[string]string{"plain": "plain.example.net:9256", "port": "port.example.net:9256", "six-22": "[2001:db8::2]:9256"} {
		if targets[name] != want {
			t.Errorf("target of %q is %q, want %q", name, targets[name], want)
		}
	}
	if len(groups) != len(exportable) {
		t.Errorf("%d targets, want %d: local has no host", len(groups), len(exportable))
	}
}
