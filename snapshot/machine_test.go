package snapshot_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/machreg/machreg/snapshot"
)

// machine is the value of the file that this package was made for.
type machine struct {
	Name     string `json:"name"`
	Type     string `json:"type"`
	Host     string `json:"host"`
	KeyPath  string `json:"key_path"`
	TownPath string `json:"town_path"`
}

func checkMachine(name string, m *machine) error {
	if m.Name == "" {
		m.Name = name
	}
	switch {
	case m.Name != name:
		return fmt.Errorf("name: is %q, want the entry's own", m.Name)
	case m.Type == "":
		return errors.New("type: missing")
	case m.Type == "ssh" && m.Host == "":
		return errors.New("host: missing")
	case strings.HasPrefix(m.Host, "-"):
		return errors.New("host: begins with a dash")
	}
	return nil
}

func machines(t testing.TB) *snapshot.Codec[machine] {
	t.Helper()
	return codec(t, snapshot.Schema[machine]{
		Collection: "machines",
		Check:      checkMachine,
		Builtin:    map[string]machine{"local": {Name: "local", Type: "local"}},
	})
}

func codec[V any](t testing.TB, schema snapshot.Schema[V]) *snapshot.Codec[V] {
	t.Helper()
	c, err := snapshot.NewCodec(schema)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// realistic is machine number i of a large registry.
func realistic(i int) machine {
	return machine{
		Name:     fmt.Sprintf("build-%06d", i),
		Type:     "ssh",
		Host:     fmt.Sprintf("ci@build-%06d.example.org", i),
		KeyPath:  "/home/ci/.ssh/id_ed25519",
		TownPath: fmt.Sprintf("/srv/town/%d", i%100),
	}
}

// fleet is a snapshot of n realistic machines and the built-in one.
func fleet(t testing.TB, c *snapshot.Codec[machine], n int) *snapshot.Snapshot[machine] {
	t.Helper()
	e := c.Empty().Edit()
	for i := range n {
		m := realistic(i)
		e.Apply(put(t, c, m.Name, m))
	}
	return e.Snapshot()
}

// put is a write of one entry.
func put[V any](t testing.TB, c *snapshot.Codec[V], name string, v V) snapshot.Write[V] {
	t.Helper()
	e, err := c.Entry(name, v)
	if err != nil {
		t.Fatalf("Entry(%q): %v", name, err)
	}
	return snapshot.Write[V]{Put: []snapshot.Entry[V]{e}}
}

func encode[V any](t testing.TB, s *snapshot.Snapshot[V]) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := s.Encode(&b); err != nil {
		t.Fatalf("Encode: %v", err)
	}
	return b.Bytes()
}

func decode[V any](t testing.TB, c *snapshot.Codec[V], data []byte, prev *snapshot.Snapshot[V]) snapshot.Decoded[V] {
	t.Helper()
	d, err := c.Decode(data, prev)
	if err != nil {
		t.Fatalf("decode: %v\n%.2000s", err, data)
	}
	return d
}
