package proptest

import (
	"encoding/json"
	"os"

	"github.com/machreg/machreg/registry"
)

// Kind is what an operation of a history does.
type Kind string

// The kinds. Those from snapshot on need capabilities.
const (
	Add      Kind = "add"
	Remove   Kind = "remove"
	Get      Kind = "get"
	List     Kind = "list"
	Refresh  Kind = "refresh"
	Snapshot Kind = "snapshot"
	ReadNew  Kind = "latest"
	Commit   Kind = "commit" // a transaction, once
	Update   Kind = "update" // a transaction, until it succeeds
	Final    Kind = "final"  // all there is, when everybody is done
)

// Op is one operation of a history: what was asked, what came of it, and when.
// Values stand in it by the write that made them; the empty one is none.
type Op struct {
	Client int   `json:"client"` // the goroutine, counted over all processes
	Handle int   `json:"handle"` // the handle, likewise
	Kind   Kind  `json:"kind"`
	Call   int64 `json:"call"`   // nanoseconds on the shared clock
	Return int64 `json:"return"` // likewise

	Name string `json:"name,omitempty"`
	// Writes are the values written, by name.
	Writes map[string]string `json:"writes,omitempty"`
	// Absent and At are the condition of the write.
	Absent bool               `json:"absent,omitempty"`
	At     *registry.Revision `json:"at,omitempty"`

	// ReadOnly says that the handle takes no writes.
	ReadOnly bool `json:"readOnly,omitempty"`
	// Class is the class of the error; empty if there was none.
	Class string `json:"class,omitempty"`
	Error string `json:"error,omitempty"`
	// Revision is that of a write, a transaction's base if it conflicted, or
	// that of a view.
	Revision registry.Revision `json:"revision,omitempty"`
	// Before and After are what plain reads of the handle were served from
	// around a Get or List, After also after a Refresh.
	Before registry.Revision `json:"before,omitempty"`
	After  registry.Revision `json:"after,omitempty"`
	// Reads are the values read, by name; Ranged that these are all there are.
	Reads  map[string]string `json:"reads,omitempty"`
	Ranged bool              `json:"ranged,omitempty"`
}

// History is what happened to one registry between two moments at which nobody
// used it.
type History struct {
	Seed   uint64 `json:"seed"`
	Number int    `json:"number"`
	// Versioned says whether the revisions below mean anything.
	Versioned bool `json:"versioned"`
	// Ways are those in which the handles were opened, if they differ.
	Ways []string `json:"ways,omitempty"`
	// Edited says that something else wrote what there was before. The first
	// commit gives that a revision before its own.
	Edited bool `json:"edited,omitempty"`
	// Revision and State are what there was before.
	Revision registry.Revision `json:"revision"`
	State    map[string]string `json:"state"`
	Ops      []Op              `json:"ops"`
}

// Save writes the history as JSON.
func (h History) Save(path string) error {
	data, err := json.MarshalIndent(h, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, data, 0o644)
}

// LoadHistory reads what Save wrote, to check it again.
func LoadHistory(path string) (h History, err error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return h, err
	}
	return h, json.Unmarshal(data, &h)
}

// applied reports whether the operation changed the registry.
func (o *Op) applied() bool { return o.Class == "" && len(o.Writes) > 0 }
