package faults_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/machreg/machreg/registry"
)

// FuzzValidate demands of any machine: what is accepted is written, and read
// back equal by this handle, by another one and by a program without this
// library; it drives no terminal and no ssh. What is refused is an error that
// drives no terminal either, and changes nothing. And a file that holds the
// same machine, put there by somebody else, is judged the same: served if it
// would have been accepted, quarantined, and kept, if not.
func FuzzValidate(f *testing.F) {
	for _, m := range []registry.Machine{
		machineOf("ok"),
		{Name: "local", Type: "local"},
		{Name: "a", Type: "ssh"},
		{Name: "a", Type: "ssh", Host: "-oProxyCommand=x"},
		{Name: "a", Type: "ssh", Host: "u@-h"},
		{Name: "\x1b[2J", Type: "x"},
		{Name: "a\u202eb", Type: "x"},
		{Name: "\xff", Type: "x"},
		{Name: "k\u200dk", Type: "x", Host: "ü", KeyPath: `"\`, TownPath: "</script>\u00a0"},
		{},
	} {
		f.Add(m.Name, m.Type, m.Host, m.KeyPath, m.TownPath)
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, name, kind, host, keyPath, townPath string) {
		m := registry.Machine{Name: name, Type: kind, Host: host, KeyPath: keyPath, TownPath: townPath}
		path := filepath.Join(dir, "machines.json")
		os.Remove(path)
		opts := &registry.Options{Sync: registry.SyncNone, Refresh: registry.RefreshNever, Page: registry.PageOff}
		r := mustOpen(t, path, opts)
		invalid := m.Validate()
		_, err := r.Add(t.Context(), m)
		if (err == nil) != (invalid == nil) || err != nil && !errors.Is(err, registry.ErrInvalid) {
			t.Fatalf("Validate() = %v, Add = %v", invalid, err)
		}
		if err != nil {
			harmless(t, "error", err.Error())
			if _, serr := os.Stat(path); !errors.Is(serr, os.ErrNotExist) {
				t.Fatalf("refused with %v, but there is a file: %v", err, serr)
			}
		} else {
			accepted(t, path, r, m)
		}
		for _, s := range []string{name, kind, host, keyPath, townPath} {
			if !utf8.ValidString(s) {
				return // JSON cannot say it
			}
		}
		found(t, path, m, invalid)
	})
}

// accepted judges a machine that was stored.
func accepted(t *testing.T, path string, r *registry.MachineRegistry, m registry.Machine) {
	t.Helper()
	harmless(t, "machine", m.Name+m.Type+m.Host+m.KeyPath+m.TownPath)
	user, host, _ := strings.Cut(m.Host, "@")
	if strings.HasPrefix(m.Host, "-") || strings.HasPrefix(user, "-") || strings.HasPrefix(host, "-") {
		t.Errorf("host %q was accepted", m.Host)
	}
	if got, err := r.Get(m.Name); err != nil || got != m {
		t.Errorf("Get = %+q, %v, want %+q", got, err, m)
	}
	other := mustOpen(t, path, &registry.Options{ReadOnly: true, Refresh: registry.RefreshNever})
	if got, err := other.Get(m.Name); err != nil || got != m {
		t.Errorf("another handle's Get = %+q, %v, want %+q", got, err, m)
	}
	if (m == registry.Machine{Name: registry.LocalName, Type: registry.TypeLocal}) {
		return // always there: nothing was written
	}
	data, err := os.ReadFile(path)
	must(t, err)
	var raw struct{ Machines map[string]registry.Machine }
	if err := json.Unmarshal(data, &raw); err != nil || raw.Machines[m.Name] != m {
		t.Errorf("the file holds %+q, %v, want %+q", raw.Machines[m.Name], err, m)
	}
	harmless(t, "file", string(data))
}

// found puts the machine into a file as a careless program would.
func found(t *testing.T, path string, m registry.Machine, invalid error) {
	t.Helper()
	text, err := json.Marshal(map[string]any{"version": 1, "machines": map[string]registry.Machine{m.Name: m}})
	must(t, err)
	must(t, os.WriteFile(path, text, 0o644))
	r := mustOpen(t, path, &registry.Options{Sync: registry.SyncNone, Refresh: registry.RefreshNever, Page: registry.PageOff})
	if m.Name == "" && invalid != nil {
		// A file's key stands in for a name that is missing; here both are.
		if q := r.Snapshot().Quarantine(); len(q) != 1 {
			t.Errorf("without a name: %+q", q)
		}
		return
	}
	got, err := r.Get(m.Name)
	q := r.Snapshot().Quarantine()
	if invalid == nil {
		if err != nil || got != m || len(q) > 0 {
			t.Errorf("Add accepts %+q, a file with it gives %+q, %v, quarantined %+q", m, got, err, q)
		}
		return
	}
	if len(q) != 1 || q[0].Name != m.Name || err == nil && m.Name != registry.LocalName {
		t.Errorf("Add refuses %+q with %v, a file with it gives %+q, %v, quarantined %+q", m, invalid, got, err, q)
		return
	}
	harmless(t, "reason", q[0].Reason)
	if err := r.Health(); err != nil {
		harmless(t, "health", err.Error())
	}
	if _, err := r.Add(t.Context(), machineOf("next")); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	must(t, err)
	var raw struct{ Machines map[string]registry.Machine }
	if err := json.Unmarshal(data, &raw); err != nil || raw.Machines[m.Name] != m {
		t.Errorf("after a rewrite the file holds %+q, %v, want %+q", raw.Machines[m.Name], err, m)
	}
}

// harmless demands that nothing in s can steer a terminal or show what is not
// there.
func harmless(t *testing.T, what, s string) {
	t.Helper()
	for _, r := range s {
		bidi := unicode.Is(unicode.Bidi_Control, r)
		if r != '\n' && unicode.IsControl(r) || bidi || r == '\u2028' || r == '\u2029' {
			t.Errorf("%s %+q has %U in it", what, s, r)
			return
		}
	}
	if !utf8.ValidString(s) {
		t.Errorf("%s %+q is not UTF-8", what, s)
	}
}

// A refusal says which field it is about.
func TestValidateNamesTheField(t *testing.T) {
	for field, m := range map[string]registry.Machine{
		"name":      {Name: "a\x00", Type: "x"},
		"type":      {Name: "a", Type: "x\x00"},
		"host":      {Name: "a", Type: "x", Host: "h\x00"},
		"key_path":  {Name: "a", Type: "x", KeyPath: "\x00"},
		"town_path": {Name: "a", Type: "x", TownPath: "\x00"},
	} {
		if err := m.Validate(); err == nil || !strings.HasPrefix(err.Error(), field) {
			t.Errorf("Validate(%s) = %v", fmt.Sprintf("%+q", m), err)
		}
	}
}
