package baseline

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"
)

var (
	// ErrNotFound is matched by the error for a machine that is not there.
	ErrNotFound = errors.New("not found")
	// ErrInvalid is matched by the error for a machine that lacks a member.
	ErrInvalid = errors.New("invalid")
	// ErrBuiltin is matched by the error for removing the local machine.
	ErrBuiltin = errors.New("cannot be removed")
)

// Local is the name and type of the machine that always exists.
const Local = "local"

// Machine is one machine. Its name is its key in the file.
type Machine struct {
	Name     string `json:"name"`
	Type     string `json:"type"`
	Host     string `json:"host"`
	KeyPath  string `json:"key_path"`
	TownPath string `json:"town_path"`
}

// file is what the registry file holds.
type file struct {
	Version  int                 `json:"version"`
	Machines map[string]*Machine `json:"machines"`
}

// LockKind is a way to lock between processes.
type LockKind int

const (
	// CorrectLock is package filelock.
	CorrectLock LockKind = iota
	// PublishedLock is the life cycle of the published implementation: the lock
	// file is polled for, 10 to 100 ms apart, and deleted after each unlock, and
	// nobody checks that what he locked is still at its path; so two processes
	// can hold the lock at once. The temporary file then has a name of its own
	// each time, as published, so that what is lost is lost by the lock.
	PublishedLock
)

// Options adjusts a Registry; the zero value is the default.
type Options struct {
	Lock LockKind
	// Timeout bounds the wait for the file lock; 0 means 30 s.
	Timeout time.Duration
}

// Registry is a handle on a registry file. All methods are safe for concurrent
// use, which what Get and List return is not.
type Registry struct {
	path   string
	lock   locker
	unique bool // each temporary file has its own name

	mu       sync.RWMutex // after the file lock
	machines map[string]*Machine
}

// New returns a handle that knows the local machine and has not read the file.
// It touches nothing on disk. Nil is the default Options.
func New(path string, opts *Options) *Registry {
	if opts == nil {
		opts = &Options{}
	}
	timeout := opts.Timeout
	if timeout == 0 {
		timeout = 30 * time.Second
	}
	r := &Registry{path: path, machines: map[string]*Machine{Local: newLocal()}}
	lockPath := filepath.Join(filepath.Dir(path), ".gastown", "locks", filepath.Base(path)+".lock")
	switch opts.Lock {
	case PublishedLock:
		r.lock, r.unique = &publishedLock{lockPath, timeout}, true
	default:
		r.lock = newCorrectLock(lockPath, timeout)
	}
	return r
}

func newLocal() *Machine { return &Machine{Name: Local, Type: Local} }

// Load reads the file under the shared lock; a missing file or an error leaves
// the memory as it was. It creates the lock
// directory, and waits for the lock at most the timeout.
func (r *Registry) Load() error {
	if err := r.lock.shared(r.reload); err != nil {
		return fmt.Errorf("load registry: %w", err)
	}
	return nil
}

// reload replaces the memory by what the file holds, and leaves it as it is if
// there is none. The file lock is held.
func (r *Registry) reload() error {
	data, err := os.ReadFile(r.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var f file
	if err := json.Unmarshal(data, &f); err != nil {
		return fmt.Errorf("parse registry %q: %w", r.path, err)
	}
	if f.Machines == nil {
		f.Machines = make(map[string]*Machine)
	}
	for name, m := range f.Machines {
		if m == nil {
			return fmt.Errorf("parse registry %q: machine %q is null", r.path, name)
		}
		m.Name = name
	}
	if f.Machines[Local] == nil {
		f.Machines[Local] = newLocal()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.machines = f.Machines
	return nil
}

// Get returns the live machine of that name, or an error matching ErrNotFound.
// It does not look at the disk.
func (r *Registry) Get(name string) (*Machine, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	m, ok := r.machines[name]
	if !ok {
		return nil, fmt.Errorf("machine %q: %w", name, ErrNotFound)
	}
	return m, nil
}

// List returns the live machines in no particular order. It does not look at
// the disk.
func (r *Registry) List() []*Machine {
	r.mu.RLock()
	defer r.mu.RUnlock()
	all := make([]*Machine, 0, len(r.machines))
	for _, m := range r.machines {
		all = append(all, m)
	}
	return all
}

// Add puts m, replacing a machine of that name, and keeps the pointer. The
// error matches ErrInvalid if m lacks a name or a type, or is of type ssh and
// lacks a host. It waits for the file lock at most the timeout.
func (r *Registry) Add(m *Machine) error {
	missing := ""
	switch {
	case m.Name == "":
		missing = "name is required"
	case m.Type == "":
		missing = "type is required"
	case m.Type == "ssh" && m.Host == "":
		missing = "type ssh requires a host"
	}
	if missing != "" {
		return fmt.Errorf("add machine %q: %w: %s", m.Name, ErrInvalid, missing)
	}
	err := r.write(func() error {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.machines[m.Name] = m
		return nil
	})
	if err != nil {
		return fmt.Errorf("add machine %q: %w", m.Name, err)
	}
	return nil
}

// Remove takes a machine out. The error matches ErrBuiltin for the local
// machine and ErrNotFound for one that is not there. It waits for the file lock
// at most the timeout.
func (r *Registry) Remove(name string) error {
	if name == Local {
		return fmt.Errorf("remove machine %q: %w", name, ErrBuiltin)
	}
	err := r.write(func() error {
		r.mu.Lock()
		defer r.mu.Unlock()
		if _, ok := r.machines[name]; !ok {
			return ErrNotFound
		}
		delete(r.machines, name)
		return nil
	})
	if err != nil {
		return fmt.Errorf("remove machine %q: %w", name, err)
	}
	return nil
}

// write is one read-modify-write under the file lock.
func (r *Registry) write(change func() error) error {
	if err := os.MkdirAll(filepath.Dir(r.path), 0o755); err != nil {
		return err
	}
	return r.lock.exclusive(func() error {
		if err := r.reload(); err != nil {
			return err
		}
		if err := change(); err != nil {
			return err
		}
		return r.save()
	})
}

// save replaces the file by what the memory holds. The file lock is held. A
// crash leaves the old file or the new one; a loss of power, which nothing here
// is synced against, may leave an empty one.
func (r *Registry) save() error {
	r.mu.RLock()
	data, err := json.MarshalIndent(file{Version: 1, Machines: r.machines}, "", "  ")
	r.mu.RUnlock()
	if err != nil {
		return fmt.Errorf("encode registry: %w", err)
	}
	temp, err := r.writeTemp(data)
	if err != nil {
		return err
	}
	return os.Rename(temp, r.path)
}

func (r *Registry) writeTemp(data []byte) (string, error) {
	if !r.unique {
		temp := r.path + ".tmp"
		return temp, os.WriteFile(temp, data, 0o644)
	}
	f, err := os.CreateTemp(filepath.Dir(r.path), filepath.Base(r.path)+".*.tmp")
	if err != nil {
		return "", err
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Close()); err != nil {
		return "", errors.Join(err, os.Remove(f.Name()))
	}
	return f.Name(), nil
}

// Close gives up the lock: its file is removed if nobody holds it, and further
// writes fail with the correct lock. Get and List go on as they were.
func (r *Registry) Close() error { return r.lock.close() }
