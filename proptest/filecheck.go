package proptest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"slices"

	"pgregory.net/rapid"

	"github.com/machreg/machreg/registry"
)

// parsedFile is a registry file as encoding/json reads it: an opinion that
// shares nothing with the code under test.
type parsedFile struct {
	members map[string]json.RawMessage // all but the collection
	entries map[string]json.RawMessage
	order   []string // the names of the entries as they stand
}

func parseFile(data []byte) (p parsedFile, err error) {
	if err := json.Unmarshal(data, &p.members); err != nil {
		return p, err
	}
	if err := json.Unmarshal(p.members["machines"], &p.entries); err != nil {
		return p, fmt.Errorf("machines: %w", err)
	}
	p.order, err = memberOrder(p.members["machines"])
	delete(p.members, "machines")
	return p, err
}

// memberOrder lists the names of an object's members as they stand.
func memberOrder(object []byte) (order []string, err error) {
	dec := json.NewDecoder(bytes.NewReader(object))
	if _, err := dec.Token(); err != nil {
		return nil, err
	}
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return nil, err
		}
		var skip json.RawMessage
		if err := dec.Decode(&skip); err != nil {
			return nil, err
		}
		order = append(order, name.(string))
	}
	return order, nil
}

var knownMembers = []string{"name", "type", "host", "key_path", "town_path"}

// checkFile compares the file with the model.
func (w *world) checkFile(t *rapid.T) {
	if err := w.witness.verify(); err != nil {
		t.Fatalf("file: %v", err)
	}
	w.witness.look(w.path)
	w.checkLinks(t)
	if w.broken != ok {
		return
	}
	data, err := os.ReadFile(w.path)
	if errors.Is(err, fs.ErrNotExist) && !w.written {
		return
	}
	if err != nil {
		t.Fatalf("file: %v", err)
	}
	if !w.written {
		t.Fatalf("there is a file, but nothing was written: %q", data)
	}
	p, err := parseFile(data)
	if err != nil {
		t.Fatalf("file cannot be read: %v\n%s", err, data)
	}
	if v := string(p.members["version"]); v != "1" {
		t.Fatalf("file has version %s, want 1", v)
	}
	for name, want := range w.now.entries {
		raw, there := p.entries[name]
		if !there {
			t.Fatalf("file lacks the entry %q\n%s", name, data)
		}
		if err := checkEntry(raw, want); err != nil {
			t.Fatalf("file: entry %q: %v", name, err)
		}
	}
	if len(p.entries) != len(w.now.entries) {
		t.Fatalf("file has %d entries, want %d\n%s", len(p.entries), len(w.now.entries), data)
	}
	for name, want := range w.now.members {
		if got := string(p.members[name]); got != want {
			t.Fatalf("file: unknown member %q is %s, want %s", name, got, want)
		}
	}
	if w.ours {
		w.checkForm(t, data, p)
	}
}

func checkEntry(raw []byte, want entry) error {
	if want.bad != "" {
		if string(raw) != want.bad {
			return fmt.Errorf("quarantined, and is %s, want %s", raw, want.bad)
		}
		return nil
	}
	var m registry.Machine
	if err := json.Unmarshal(raw, &m); err != nil {
		return err
	}
	if m != want.machine {
		return fmt.Errorf("is %+v, want %+v", m, want.machine)
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(raw, &members); err != nil {
		return err
	}
	for _, known := range knownMembers {
		delete(members, known)
	}
	for name, value := range want.rest {
		if got := string(members[name]); got != value {
			return fmt.Errorf("unknown member %q is %s, want %s", name, got, value)
		}
	}
	if len(members) != len(want.rest) {
		return fmt.Errorf("has unknown members %s, want %v", raw, want.rest)
	}
	return nil
}

// checkForm holds a file that the subject wrote to the form that this module
// promises: sorted, one entry a line, revision and checksum.
func (w *world) checkForm(t *rapid.T, data []byte, p parsedFile) {
	if !slices.IsSorted(p.order) {
		t.Fatalf("file is not sorted by name: %q", p.order)
	}
	if got := string(p.members["revision"]); got != fmt.Sprint(w.claimed) {
		t.Fatalf("file has revision %s, want %d", got, w.claimed)
	}
	at := bytes.LastIndex(data, []byte("\"checksum\""))
	if at < 0 {
		t.Fatalf("file has no checksum\n%s", data)
	}
	want := fmt.Sprintf("%q", fmt.Sprintf("crc32c:%08x", crc32.Checksum(data[:at], crc32.MakeTable(crc32.Castagnoli))))
	if got := string(p.members["checksum"]); got != want {
		t.Fatalf("file has checksum %s, want %s", got, want)
	}
	for name, raw := range p.entries {
		if !w.now.entries[name].wild && w.now.entries[name].rest == nil && bytes.ContainsRune(raw, '\n') {
			t.Fatalf("file: entry %q takes more than one line", name)
		}
	}
}

// stampOfFile tells whether the file was replaced between two calls.
func stampOfFile(path string) (os.FileInfo, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return info, err
}

func replaced(before, after os.FileInfo) bool {
	if before == nil || after == nil {
		return before != after
	}
	return !os.SameFile(before, after) || !before.ModTime().Equal(after.ModTime()) || before.Size() != after.Size()
}
