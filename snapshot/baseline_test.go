package snapshot_test

import (
	"encoding/json"
	"fmt"
	"hash/crc32"
	"reflect"
	"strings"
	"testing"
)

// baselineFile is the file as the program that wrote it first declares it.
type baselineFile struct {
	Version  int                `json:"version"`
	Machines map[string]machine `json:"machines"`
}

// baselineText is a file of that program which other tools have added to.
const baselineText = `{
  "version": 1,
  "machines": {
    "local": {
      "name": "local",
      "type": "local",
      "host": "",
      "key_path": "",
      "town_path": "/srv/town"
    },
    "böse \"1\"\\": {
      "name": "böse \"1\"\\",
      "type": "ssh",
      "host": "ci@build-01",
      "key_path": "/home/ci/.ssh/id_ed25519",
      "labels" : { "os": "linux",
        "weights": [1e400, -0, 1.50] },
      "town_path": "\u003ctown\u003e\u2028"
    }
  },
  "owner": {"team": "build",
    "since": 2.0}
}
`

// baselineUnknown are the bytes in it that no rewrite may lose.
var baselineUnknown = []string{
	"\"labels\" : { \"os\": \"linux\",\n        \"weights\": [1e400, -0, 1.50] }",
	"\"owner\": {\"team\": \"build\",\n    \"since\": 2.0}",
}

// sealed is body with the checksum of it and the end of a file.
func sealed(body string) []byte {
	sum := crc32.Checksum([]byte(body), crc32.MakeTable(crc32.Castagnoli))
	return fmt.Appendf(nil, "%s\"checksum\": \"crc32c:%08x\"\n}\n", body, sum)
}

func TestBaselineFile(t *testing.T) {
	c := machines(t)
	d := decode(t, c, []byte(baselineText), nil)
	if d.Ours || d.Parsed != 2 || len(d.Snapshot.Quarantine()) > 0 {
		t.Errorf("ours %t, parsed %d, quarantine %v", d.Ours, d.Parsed, d.Snapshot.Quarantine())
	}
	const name = `böse "1"\`
	want := machine{name, "ssh", "ci@build-01", "/home/ci/.ssh/id_ed25519", "<town>\u2028"}
	if m, ok := d.Snapshot.Get(name); !ok || m != want {
		t.Errorf("Get(%q) = %+v, %t, want %+v", name, m, ok, want)
	}

	// One write to another entry, and one to each that is there.
	snap := d.Snapshot
	for _, m := range []machine{
		{Name: "new", Type: "local"},
		{Name: name, Type: "ssh", Host: "elsewhere"},
		{Name: "local", Type: "local"},
	} {
		edit := snap.Edit()
		if !edit.Apply(put(t, c, m.Name, m)) {
			t.Fatalf("putting %q changed nothing", m.Name)
		}
		snap = edit.Snapshot()
		data := encode(t, snap)
		for _, bytes := range baselineUnknown {
			if strings.Count(string(data), bytes) != 1 {
				t.Errorf("after a write of %q the file does not hold once\n%s\nbut is\n%s", m.Name, bytes, data)
			}
		}
		var f baselineFile
		if err := json.Unmarshal(data, &f); err != nil || f.Version != 1 {
			t.Fatalf("encoding/json: version %d, %v\n%s", f.Version, err, data)
		}
		got := make(map[string]machine)
		for name, m := range snap.All() {
			got[name] = m
		}
		if !reflect.DeepEqual(f.Machines, got) {
			t.Errorf("encoding/json reads %v, want %v", f.Machines, got)
		}
		// The value that spans lines does not make reading it slow.
		back, ok := c.DecodeOurs(data, nil)
		if !ok || back.Parsed != snap.Len() {
			t.Fatalf("fresh: fast decoder %t, parsed %d\n%s", ok, back.Parsed, data)
		}
		if again := decode(t, c, data, back.Snapshot); again.Parsed != 0 {
			t.Errorf("again: parsed %d entries, want 0", again.Parsed)
		}
	}
}

// A refresh of a foreign file decodes what changed, however it is laid out.
func TestForeignRefresh(t *testing.T) {
	c := machines(t)
	snap := decode(t, c, []byte(baselineText), nil).Snapshot
	if again := decode(t, c, []byte(baselineText), snap); again.Parsed != 0 {
		t.Errorf("the same file again: parsed %d entries, want 0", again.Parsed)
	}
	other := strings.Replace(baselineText, "ci@build-01", "ci@build-02", 1)
	if changed := decode(t, c, []byte(other), snap); changed.Parsed != 1 {
		t.Errorf("one entry changed: parsed %d, want 1", changed.Parsed)
	}
	flat := strings.NewReplacer(`"local"`, ` "local" `, `"host": `, `"host":`).Replace(baselineText)
	if again := decode(t, c, []byte(flat), snap); again.Parsed != 0 {
		t.Errorf("laid out differently: parsed %d entries, want 0", again.Parsed)
	}
	if again := decode(t, c, encode(t, snap), snap); again.Parsed != 0 {
		t.Errorf("written by ourselves: parsed %d entries, want 0", again.Parsed)
	}
}
