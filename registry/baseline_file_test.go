package registry_test

import (
	"encoding/json"
	"maps"
	"reflect"
	"strings"
	"testing"

	"github.com/machreg/machreg/registry"
)

// baselineFile is what the baseline writes, by json.MarshalIndent, after
// somebody added members that it does not know: to the file and to machines.
const baselineFile = `{
  "version": 1,
  "generator": {"by": "hand",   "numbers": [1.0, 2e0, 10000000000000000000001]},
  "machines": {
    "web-1": {
      "name": "web-1",
      "type": "ssh",
      "host": "deploy@web-1.example",
      "key_path": "/home/deploy/.ssh/id_ed25519",
      "town_path": "/srv/town",
      "labels": { "rack" : "r\u0031",	"zone":null },
      "cpus": 1.50
    },
    "local": {
      "name": "local",
      "type": "local",
      "host": "",
      "key_path": "",
      "town_path": ""
    },
    "db": {
      "name": "db",
      "type": "ssh",
      "host": "db.example",
      "key_path": "",
      "town_path": "",
      "": "a member without a name",
      "notes": "line\nbreak \/ \ud83d\ude00"
    }
  },
  "x-footer": [true,false , null]
}
`

// unknownMembers are the bytes of it that no rewrite may change.
var unknownMembers = []string{
	`"generator": {"by": "hand",   "numbers": [1.0, 2e0, 10000000000000000000001]}`,
	`"labels": { "rack" : "r\u0031",	"zone":null }`,
	`"cpus": 1.50`,
	`"": "a member without a name"`,
	`"notes": "line\nbreak \/ \ud83d\ude00"`,
	`"x-footer": [true,false , null]`,
}

// baselineMachine and baselineRegistry are the baseline's own structures.
type baselineMachine struct {
	Name     string `json:"name"`
	Type     string `json:"type"`
	Host     string `json:"host"`
	KeyPath  string `json:"key_path"`
	TownPath string `json:"town_path"`
}

type baselineRegistry struct {
	Version  int                         `json:"version"`
	Machines map[string]*baselineMachine `json:"machines"`
}

func readAsBaseline(t *testing.T, data []byte) map[string]baselineMachine {
	t.Helper()
	var r baselineRegistry
	if err := json.Unmarshal(data, &r); err != nil {
		t.Fatalf("a baseline program cannot read the file: %v\n%s", err, data)
	}
	if r.Version != 1 {
		t.Errorf("a baseline program reads version %d", r.Version)
	}
	got := make(map[string]baselineMachine)
	for name, m := range r.Machines {
		got[name] = *m
	}
	return got
}

func TestBaselineFile(t *testing.T) {
	path := newPath(t)
	mustWrite(t, path, baselineFile)
	r := open(t, path, nil)
	want := readAsBaseline(t, []byte(baselineFile))
	got := make(map[string]baselineMachine)
	for _, m := range r.List() {
		got[m.Name] = baselineMachine(m)
	}
	if !maps.Equal(got, want) {
		t.Fatalf("the baseline's file loads as %v, want %v", got, want)
	}
	if string(mustRead(t, path)) != baselineFile {
		t.Error("loading changed the file")
	}
	at := r.Revision()

	check := func(what string, want map[string]baselineMachine) {
		t.Helper()
		data := mustRead(t, path)
		for _, member := range unknownMembers {
			if strings.Count(string(data), member) != 1 {
				t.Errorf("after %s the file does not hold %s once:\n%s", what, member, data)
			}
		}
		if got := readAsBaseline(t, data); !maps.Equal(got, want) {
			t.Errorf("after %s a baseline program reads %v, want %v", what, got, want)
		}
		if names, before := memberNames(t, data), memberNames(t, []byte(baselineFile)); !reflect.DeepEqual(names, before) {
			t.Errorf("after %s the file has other unknown members: %v, want %v", what, names, before)
		}
	}

	// What the file holds is a revision, and the add is the next.
	if rev := add(t, r, "new"); rev != at+2 {
		t.Errorf("first add to a file without revision is %d, want %d", rev, at+2)
	}
	want["new"] = baselineMachine(machineOf("new"))
	check("one add", want)

	// Rewriting the machine that has unknown members keeps them.
	web, err := r.Get("web-1")
	if err != nil {
		t.Fatal(err)
	}
	web.Host = "deploy@web-1.new.example"
	if _, err := r.Add(t.Context(), web); err != nil {
		t.Fatal(err)
	}
	want["web-1"] = baselineMachine(web)
	check("rewriting web-1", want)

	if _, err := r.Remove(t.Context(), "new"); err != nil {
		t.Fatal(err)
	}
	delete(want, "new")
	check("a removal", want)

	fresh := open(t, path, nil)
	if fresh.Revision() != r.Revision() || fresh.Revision() != at+4 {
		t.Errorf("fresh handle is at revision %d, the writer at %d, want %d", fresh.Revision(), r.Revision(), at+4)
	}
}

// memberNames are the members of a file and of each machine that baseline does
// not know.
func memberNames(t *testing.T, data []byte) map[string]bool {
	t.Helper()
	var file map[string]json.RawMessage
	var machines map[string]map[string]json.RawMessage
	if err := json.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(file["machines"], &machines); err != nil {
		t.Fatal(err)
	}
	names := make(map[string]bool)
	for name := range file {
		names[name] = true
	}
	for of, m := range machines {
		for name := range m {
			names[of+"/"+name] = true
		}
	}
	for known := range names {
		switch name := known[strings.LastIndex(known, "/")+1:]; name {
		case "version", "machines", "revision", "checksum", "name", "type", "host", "key_path", "town_path":
			delete(names, known)
		}
	}
	return names
}

// The baseline's program goes on writing the file, with json.MarshalIndent and
// without the members it does not know; its writes are adopted.
func TestBaselineProgramWritesOn(t *testing.T) {
	path := newPath(t)
	r := open(t, path, &registry.Options{Refresh: registry.RefreshNever})
	last := add(t, r, "a", "b")
	file := baselineRegistry{Version: 1, Machines: make(map[string]*baselineMachine)}
	for name, m := range readAsBaseline(t, mustRead(t, path)) {
		file.Machines[name] = &m
	}
	theirs := baselineMachine(machineOf("theirs"))
	file.Machines["theirs"] = &theirs
	delete(file.Machines, "b")
	data, err := json.MarshalIndent(file, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	replaceFile(t, path, string(data))
	if err := r.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s := r.Snapshot(); s.Revision() != last || !s.Edited() {
		t.Errorf("a foreign write is revision %d, edited %t; want %d, true", s.Revision(), s.Edited(), last)
	}
	for name, there := range map[string]bool{"a": true, "b": false, "theirs": true} {
		if _, err := r.Get(name); (err == nil) != there {
			t.Errorf("Get(%q) after the foreign write: %v", name, err)
		}
	}
	if rev := add(t, r, "c"); rev != last+2 {
		t.Errorf("add after a foreign write is revision %d, want %d", rev, last+2)
	}
	if got := readAsBaseline(t, mustRead(t, path)); len(got) != 4 || got["theirs"] != theirs {
		t.Errorf("a baseline program reads %v", got)
	}
}
