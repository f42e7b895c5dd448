package registry

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/machreg/machreg/snapshot"
)

// Machine is one machine of a [MachineRegistry].
type Machine struct {
	// Name identifies the machine. Required; no control characters.
	Name string `json:"name"`
	// Type says how it is reached: "local", "ssh", or any other word that its
	// users agree on. Required.
	Type string `json:"type"`
	// Host is the ssh destination, host, user@host or ssh://user@host:port.
	// Required for type ssh; neither the host nor the user begins with "-".
	Host string `json:"host"`
	// KeyPath is the ssh identity file.
	KeyPath string `json:"key_path"`
	// TownPath is the working directory on the machine.
	TownPath string `json:"town_path"`
}

const (
	// TypeLocal is the type of the machine that the registry is on.
	TypeLocal = "local"
	// TypeSSH is the type of a machine that is reached by ssh.
	TypeSSH = "ssh"
	// LocalName is the machine that always exists.
	LocalName = "local"
)

// Validate reports why the machine cannot be stored. Errors match [ErrInvalid].
func (m Machine) Validate() error {
	if err := m.validate(); err != nil {
		return invalidError{err}
	}
	return nil
}

func (m *Machine) validate() error {
	fields := []struct{ label, value string }{
		{"name", m.Name}, {"type", m.Type}, {"host", m.Host}, {"key_path", m.KeyPath}, {"town_path", m.TownPath},
	}
	for _, f := range fields {
		if err := snapshot.CheckText(f.value); err != nil {
			return fmt.Errorf("%s %q: %w", f.label, f.value, err)
		}
	}
	switch {
	case m.Name == "":
		return errors.New("name is required")
	case m.Type == "":
		return errors.New("type is required")
	case m.Type == TypeSSH && m.Host == "":
		return errors.New("type ssh requires a host")
	}
	return checkHost(m.Host)
}

// checkHost refuses what ssh would take for an option.
func checkHost(host string) error {
	// ssh also takes a URI. It splits at the last "@", other programs at the
	// first.
	for part := range strings.SplitSeq(strings.TrimPrefix(host, "ssh://"), "@") {
		switch {
		case strings.HasPrefix(part, "-"):
			return fmt.Errorf("host %q: neither host nor user may begin with %q", host, "-")
		case part == "" && host != "":
			return fmt.Errorf("host %q: want host, user@host or ssh://user@host:port", host)
		}
	}
	return nil
}

// MachineSchema is the schema of a machine registry.
func MachineSchema() Schema[Machine] {
	return Schema[Machine]{
		Collection: "machines",
		Check: func(name string, m *Machine) error {
			if m.Name == "" {
				m.Name = name // a machine's name is its key
			}
			if m.Name != name {
				return fmt.Errorf("its name is %q", m.Name)
			}
			return m.validate()
		},
		Builtin: map[string]Machine{LocalName: {Name: LocalName, Type: TypeLocal}},
	}
}

// MachineRegistry is a registry of machines. It is a [Registry] whose writes
// take the name from the machine, and in which the machine "local" always
// exists.
type MachineRegistry struct{ *Registry[Machine] }

// OpenMachines opens the machine registry at path; see [Open].
func OpenMachines(path string, opts *Options) (*MachineRegistry, error) {
	r, err := Open(path, MachineSchema(), opts)
	if err != nil {
		return nil, err
	}
	return &MachineRegistry{r}, nil
}

// Add stores a machine, new or not, and returns the revision from which on it
// is there; see [Registry.Put] for what it waits for and its errors.
func (r *MachineRegistry) Add(ctx context.Context, m Machine, conds ...Condition) (Revision, error) {
	if err := m.Validate(); err != nil {
		return 0, fmt.Errorf("add %q: %w", m.Name, err)
	}
	return r.put(ctx, "add", m.Name, m, conds)
}

// List returns all machines of one snapshot, sorted by name. The slice is the
// caller's own. It does no I/O; All does not copy.
func (r *MachineRegistry) List() []Machine {
	snap := r.Snapshot()
	list := make([]Machine, 0, snap.Len())
	for _, m := range snap.All() {
		list = append(list, m)
	}
	return list
}
