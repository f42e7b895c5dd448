package main

import (
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/machreg/machreg/cmd/machreg/internal/terminal"
	"github.com/machreg/machreg/filelock"
	"github.com/machreg/machreg/registry"
)

func (a *app) lockCommand() *cobra.Command {
	c := &cobra.Command{
		Use:     "lock COMMAND",
		GroupID: groupCare,
		Short:   "Look after the lock that writers take",
		Example: `  machreg lock status`,
		Args:    cobra.ArbitraryArgs,
		RunE:    a.unknownCommand,
	}
	c.AddCommand(a.lockStatusCommand(), a.lockCleanCommand())
	return c
}

// lockState is the JSON form of a lock's status ("lock status -o json").
type lockState struct {
	Path   string `json:"path"`
	Exists bool   `json:"exists"`         // the lock file; it may be there without being held
	Held   string `json:"held"`           // yes, no or unknown
	Mode   string `json:"mode,omitempty"` // of a lock that is held: exclusive or shared
	Doubt  string `json:"doubt,omitempty"`
	lockHolder
	// Holders are all that are known; the members above are those of one, the
	// stopped one if there is any, or of one that holds the lock no more and left its record.
	Holders []lockHolder `json:"holders,omitempty"`

	registry string
	status   filelock.Status
	holder   *filelock.Holder // nil if none is known
}

type lockHolder struct {
	PID     int        `json:"pid,omitempty"`
	Host    string     `json:"host,omitempty"`
	Program string     `json:"program,omitempty"`
	Since   *time.Time `json:"since,omitempty"` // only who left a record says so
	State   string     `json:"state,omitempty"` // of the process
}

func describeHolder(h *filelock.Holder) lockHolder {
	d := lockHolder{PID: h.PID, Host: h.Host, Program: h.Program, State: h.Alive.String()}
	if !h.Since.IsZero() {
		d.Since = &h.Since
	}
	return d
}

func (a *app) lockStatusCommand() *cobra.Command {
	output := "text"
	c := &cobra.Command{
		Use:   "status",
		Short: "Say who holds the lock",
		Long: `Say whether the lock is held, exclusively by a writer or shared by readers, and
by which processes. The system is asked, so programs that leave no record, such
as flock(1), are told too. What the system does not tell is said: on a network
file system, for one. Nothing is waited for or created.

Linux lists its locks. Where that list is missing or may leave holders out (in a
container, on btrfs or overlayfs, on other systems) a free lock is taken for an
instant to see that it is free; a command with --lock-timeout 0 that comes at that
instant is told that the lock is taken.

A holder that was killed can stay recorded until the next one, but holds
nothing: the system frees the lock at once.`,
		Example: `  machreg lock status
  machreg lock status -o json`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, args []string) error {
			state, err := a.lockState()
			if err != nil {
				return err
			}
			a.warnMissing(state.registry)
			if output == "json" {
				text, err := marshalJSON(state, "  ")
				if err != nil {
					return err
				}
				a.out.Printf("%s\n", text)
				return nil
			}
			a.out.Printf("%s: %s\n", terminal.Safe(state.Path), terminal.Safe(state.String()))
			return nil
		},
	}
	c.Flags().VarP(choice(&output, "text", "json"), "output", "o", "print as text or json")
	return c
}

func (a *app) lockState() (lockState, error) {
	path, err := a.path()
	if err != nil {
		return lockState{}, err
	}
	lock, err := registry.LockPath(path, nil)
	if err != nil {
		return lockState{}, err
	}
	status, err := filelock.New(lock, nil).Status()
	state := lockState{Path: lock, Exists: status.Exists, Held: "unknown", Doubt: status.Doubt, registry: path, status: status}
	switch status.Hold {
	case filelock.NotHeld:
		state.Held, state.holder = "no", status.Left
	case filelock.HeldShared, filelock.HeldExclusively:
		state.Held, state.Mode = "yes", status.Hold.String()
	}
	for i := range status.Holders {
		h := &status.Holders[i]
		state.Holders = append(state.Holders, describeHolder(h))
		if i == 0 || h.Alive == filelock.Stopped && state.holder.Alive != filelock.Stopped {
			state.holder = h
		}
	}
	if state.holder != nil {
		state.lockHolder = describeHolder(state.holder)
	}
	return state, err
}

func (s lockState) String() string { return s.status.String() }

func (a *app) lockCleanCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "clean",
		Short: "Remove lock files that nobody holds",
		Long: `Remove the lock files beside the registry that nobody holds. Locks that are held
stay. It is safe at any time, and hardly ever needed: a lock file that nobody
holds does no harm.`,
		Example: `  machreg lock clean`,
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, args []string) error {
			path, err := a.path()
			if err != nil {
				return err
			}
			lock, err := registry.LockPath(path, nil)
			if err != nil {
				return err
			}
			a.warnMissing(path)
			removed, err := filelock.CleanStaleLocks(filepath.Dir(lock))
			for _, r := range removed {
				a.out.Printf("removed %s\n", terminal.Safe(r))
			}
			if err == nil && len(removed) == 0 {
				a.out.Printf("nothing to remove\n")
			}
			return err
		},
	}
}
