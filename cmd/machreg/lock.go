package main

import (
	"errors"
	"io/fs"
	"os"
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

// lockState is what can be known of a lock without touching it.
type lockState struct {
	Path    string     `json:"path"`
	Exists  bool       `json:"exists"` // the lock file; it may be there without being held
	Held    string     `json:"held"`   // yes, no or unknown
	PID     int        `json:"pid,omitempty"`
	Host    string     `json:"host,omitempty"`
	Program string     `json:"program,omitempty"`
	Since   *time.Time `json:"since,omitempty"`
	State   string     `json:"state,omitempty"` // of the recorded holder's process

	holder *filelock.Holder
}

func (a *app) lockStatusCommand() *cobra.Command {
	output := "text"
	c := &cobra.Command{
		Use:   "status",
		Short: "Say who holds the lock",
		Long: `Say who holds the lock, from what its holder recorded. The lock itself is not
touched. A holder that was killed stays recorded until the next one, but holds
nothing: the system frees the lock at once.`,
		Example: `  machreg lock status
  machreg lock status -o json`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, args []string) error {
			state, err := a.lockState()
			if err != nil {
				return err
			}
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
	state := lockState{Path: lock, Held: "no"}
	if _, err := os.Lstat(lock); err == nil {
		state.Exists = true
	} else if !errors.Is(err, fs.ErrNotExist) {
		return state, err
	}
	holder, err := filelock.New(lock, nil).Holder()
	if errors.Is(err, filelock.ErrNoHolder) {
		return state, nil
	}
	if err != nil {
		return state, err
	}
	state.holder = &holder
	state.PID, state.Host, state.Program, state.Since = holder.PID, holder.Host, holder.Program, &holder.Since
	state.State = holder.Alive.String()
	switch holder.Alive {
	case filelock.Running, filelock.Stopped:
		state.Held = "yes"
	case filelock.LivenessUnknown:
		state.Held = "unknown"
	}
	return state, nil
}

func (s lockState) String() string {
	switch {
	case s.holder == nil && !s.Exists:
		return "free"
	case s.holder == nil: // whoever only reads records nothing
		return "free: no writer holds it; the file is left from the last write"
	case s.Held == "no":
		return "free; last held by " + s.holder.String()
	case s.Held == "unknown":
		return "held, or left, by " + s.holder.String()
	}
	return "held by " + s.holder.String()
}

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
