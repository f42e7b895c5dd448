package registry_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/machreg/machreg/registry"
	"github.com/machreg/machreg/snapshot"
)

// badMachines cannot be stored, whatever they are called in JSON.
var badMachines = map[string]registry.Machine{
	"no name":                   {Type: "t"},
	"no type":                   {Name: "m"},
	"ssh without host":          {Name: "m", Type: registry.TypeSSH},
	"host begins with -":        {Name: "m", Type: registry.TypeSSH, Host: "-oProxyCommand=touch /tmp/x"},
	"host of another type":      {Name: "m", Type: "t", Host: "-oProxyCommand=x"},
	"user begins with -":        {Name: "m", Type: registry.TypeSSH, Host: "-l@host"},
	"host after user":           {Name: "m", Type: registry.TypeSSH, Host: "user@-oProxyCommand=x"},
	"host after two users":      {Name: "m", Type: registry.TypeSSH, Host: "user@other@-oProxyCommand=x"},
	"host of a URI":             {Name: "m", Type: registry.TypeSSH, Host: "ssh://-oProxyCommand=x"},
	"host of a URI after user":  {Name: "m", Type: registry.TypeSSH, Host: "ssh://user@-oProxyCommand=x:22"},
	"user of a URI":             {Name: "m", Type: registry.TypeSSH, Host: "ssh://-l@host"},
	"user without host":         {Name: "m", Type: registry.TypeSSH, Host: "user@"},
	"host without user":         {Name: "m", Type: registry.TypeSSH, Host: "@host"},
	"ESC in name":               {Name: "m\x1b[2J", Type: "t"},
	"NUL in name":               {Name: "m\x00", Type: "t"},
	"newline in name":           {Name: "m\nlocal", Type: "t"},
	"carriage return in name":   {Name: "m\r", Type: "t"},
	"DEL in name":               {Name: "m\x7f", Type: "t"},
	"C1 control in name":        {Name: "m\u009b31m", Type: "t"},
	"bidi override in name":     {Name: "m\u202egnp.exe", Type: "t"},
	"bidi isolate in host":      {Name: "m", Type: registry.TypeSSH, Host: "a\u2066b"},
	"line separator in name":    {Name: "m\u2028", Type: "t"},
	"zero width space in name":  {Name: "lo\u200bcal", Type: "t"},
	"ESC in type":               {Name: "m", Type: "\x1b]0;x\a"},
	"newline in host":           {Name: "m", Type: registry.TypeSSH, Host: "a\nProxyCommand x"},
	"ESC in key path":           {Name: "m", Type: "t", KeyPath: "/\x1b[1m"},
	"NUL in town path":          {Name: "m", Type: "t", TownPath: "/srv\x00"},
	"invalid UTF-8 in name":     {Name: "m\xff", Type: "t"},
	"invalid UTF-8 in a path":   {Name: "m", Type: "t", TownPath: "\xc3"},
	"overlong encoding in host": {Name: "m", Type: registry.TypeSSH, Host: "a\xc0\xad"},
}

func TestAddRefusesBadMachines(t *testing.T) {
	path := newPath(t)
	r := open(t, path, nil)
	for name, m := range badMachines {
		t.Run(name, func(t *testing.T) {
			if err := m.Validate(); !errors.Is(err, registry.ErrInvalid) {
				t.Errorf("Validate = %v, want ErrInvalid", err)
			}
			rev, err := r.Add(t.Context(), m)
			if !errors.Is(err, registry.ErrInvalid) || rev != 0 {
				t.Errorf("Add = %d, %v, want ErrInvalid", rev, err)
			}
			if _, err := r.Put(t.Context(), m.Name, m); !errors.Is(err, registry.ErrInvalid) {
				t.Errorf("Put = %v, want ErrInvalid", err)
			}
			_, err = r.Update(t.Context(), func(tx *tx) error { return tx.Put(m.Name, m) })
			if !errors.Is(err, registry.ErrInvalid) {
				t.Errorf("Update = %v, want ErrInvalid", err)
			}
			harmless(t, err.Error())
		})
	}
	if _, err := r.Put(t.Context(), "other", machineOf("name")); !errors.Is(err, registry.ErrInvalid) {
		t.Errorf("Put under another name = %v, want ErrInvalid", err)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) || r.Revision() != 0 {
		t.Errorf("refused writes made a file (%v) at revision %d", err, r.Revision())
	}
}

func TestAddAcceptsUsualMachines(t *testing.T) {
	r := open(t, newPath(t), nil)
	for _, m := range []registry.Machine{
		{Name: "a", Type: "local"},
		{Name: "-", Type: "t"},
		{Name: "żółw 🐢", Type: "t", TownPath: "/srv/ö"},
		{Name: "quote\" back\\slash </script>", Type: "t"},
		{Name: "b", Type: registry.TypeSSH, Host: "host-1.example"},
		{Name: "c", Type: registry.TypeSSH, Host: "ci@fe80::1%eth0"},
		{Name: "d", Type: registry.TypeSSH, Host: "user@realm@host"},
	} {
		if _, err := r.Add(t.Context(), m); err != nil {
			t.Errorf("Add(%+v): %v", m, err)
		}
		if got, err := r.Get(m.Name); err != nil || got != m {
			t.Errorf("Get(%q) = %+v, %v, want %+v", m.Name, got, err, m)
		}
	}
}

// harmless demands that a terminal can be shown s.
func harmless(t *testing.T, s string) {
	t.Helper()
	if err := snapshot.CheckText(s); err != nil {
		t.Errorf("%q is not safe for a terminal: %v", s, err)
	}
}

// A file made by hand with such machines loads without them, says which and
// why, and keeps their bytes until somebody writes or removes their names.
func TestBadMachinesInAFile(t *testing.T) {
	path := newPath(t)
	machines := map[string]any{"good": machineOf("good")}
	lines := make(map[string]string)
	for what, m := range badMachines {
		if strings.Contains(what, "UTF-8") || strings.Contains(what, "overlong") {
			continue // not JSON at all
		}
		m.Name += what // each its own; json.Marshal keeps what is bad about it
		if what == "no name" {
			m.Name = ""
		}
		machines[m.Name] = m
		text, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		lines[m.Name] = string(text)
	}
	machines["wrong kind"], lines["wrong kind"] = 7, `"wrong kind":`
	another, err := json.Marshal(machineOf("another"))
	if err != nil {
		t.Fatal(err)
	}
	machines["wrong name"], lines["wrong name"] = json.RawMessage(another), string(another)
	content, err := json.Marshal(map[string]any{"version": 1, "machines": machines})
	if err != nil {
		t.Fatal(err)
	}
	mustWrite(t, path, string(content))

	r := open(t, path, nil)
	check := func(r *registry.MachineRegistry, usable ...string) {
		t.Helper()
		var names []string
		for _, m := range r.List() {
			names = append(names, m.Name)
		}
		if got, want := fmt.Sprint(names), fmt.Sprint(usable); got != want {
			t.Errorf("List has %s, want %s", got, want)
		}
		bad := r.Snapshot().Quarantine()
		if len(bad) != len(lines) || r.Stats().Quarantined != len(lines) {
			t.Errorf("%d entries in quarantine, %d by the stats, want %d", len(bad), r.Stats().Quarantined, len(lines))
		}
		for _, q := range bad {
			if _, ok := lines[q.Name]; !ok {
				t.Errorf("%q is in quarantine: %s", q.Name, q.Reason)
			}
			if q.Reason == "" {
				t.Errorf("%q is in quarantine without a reason", q.Name)
			}
			harmless(t, q.Reason)
			if _, err := r.Get(q.Name); !errors.Is(err, registry.ErrNotFound) {
				t.Errorf("Get(%q) = %v, want ErrNotFound", q.Name, err)
			} else {
				harmless(t, err.Error())
			}
		}
		data := string(mustRead(t, path))
		for name, text := range lines {
			if !strings.Contains(data, text) {
				t.Errorf("the bytes of %q are not in the file", name)
			}
		}
	}
	check(r, "good", "local")
	add(t, r, "new")
	check(r, "good", "local", "new")
	check(open(t, path, nil), "good", "local", "new")

	if _, err := r.Add(t.Context(), machineOf("wrong kind"), registry.IfAbsent()); !errors.Is(err, registry.ErrExists) {
		t.Errorf("Add over a quarantined entry IfAbsent = %v, want ErrExists", err)
	}
	add(t, r, "wrong kind")
	delete(lines, "wrong kind")
	check(r, "good", "local", "new", "wrong kind")
	escaped := "m\x1b[2J" + "ESC in name"
	if _, err := r.Remove(t.Context(), escaped); err != nil {
		t.Errorf("Remove of a quarantined entry: %v", err)
	} else {
		delete(lines, escaped)
	}
	if _, err := r.Remove(t.Context(), escaped); !errors.Is(err, registry.ErrNotFound) {
		t.Errorf("Remove again = %v, want ErrNotFound", err)
	} else {
		harmless(t, err.Error())
	}
	check(r, "good", "local", "new", "wrong kind")
}
