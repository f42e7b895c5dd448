package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/machreg/machreg/cmd/machreg/internal/sshconfig"
	"github.com/machreg/machreg/registry"
)

func (a *app) importCommand() *cobra.Command {
	c := &cobra.Command{
		Use:     "import PROGRAM",
		GroupID: groupMany,
		Short:   "Add machines that another program knows",
		Example: `  machreg import ssh-config --dry-run`,
		Args:    cobra.ArbitraryArgs,
		RunE:    a.unknownCommand,
	}
	c.AddCommand(a.importSSHConfigCommand())
	return c
}

func (a *app) importSSHConfigCommand() *cobra.Command {
	var b batch
	c := &cobra.Command{
		Use:   "ssh-config [FILE]",
		Short: "Add the hosts of an OpenSSH client configuration",
		Long: `Add one machine for every alias that a Host line of an OpenSSH client
configuration spells out, in one transaction. FILE is ~/.ssh/config if it is not
given; - is stdin.

HostName, User, Port and IdentityFile are understood, and apply as in ssh: the
first value wins (also of several identity files), and what wildcard blocks say
holds for the hosts they match. The wildcards themselves are no machines. A port other than 22 makes the host
ssh://USER@HOST:PORT, which ssh takes as it is. A comment "# town_path: DIR" in
a block sets the working directory, as "machreg export ssh-config" writes it;
without one, a machine that is there already keeps its own.

Files named by Include are read too, unless it stands in a block for certain
hosts. "Match all" and "Match originalhost" are followed. Any other Match block
is left out, since it depends on where and when ssh runs. Whatever is left out
is reported on stderr.`,
		Example: `  machreg import ssh-config --dry-run
  machreg import ssh-config ~/.ssh/config`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			config, err := a.readSSHConfig(args)
			if err != nil {
				return err
			}
			b.want = func(get func(string) (registry.Machine, bool)) []registry.Machine {
				return machinesOf(config, get)
			}
			b.verbose = true
			return a.runBatch(c, &b)
		},
	}
	b.flags(c)
	return c
}

func (a *app) readSSHConfig(args []string) (*sshconfig.Config, error) {
	home, err := os.UserHomeDir()
	if err == nil && !filepath.IsAbs(home) {
		err = fmt.Errorf("the home directory %q depends on where the program runs", home)
	}
	if err != nil {
		home = "" // no ~ can be followed then
	}
	path := filepath.Join(home, ".ssh", "config")
	if len(args) > 0 {
		path = args[0]
	} else if err != nil {
		return nil, hinted{fmt.Errorf("import: no ~/.ssh/config: %w", err), "set HOME, or name the file: machreg import ssh-config FILE"}
	}
	var text []byte
	if path == "-" {
		path = "stdin"
		text, err = sshconfig.ReadLimited(a.stdin, path)
	} else {
		text, err = sshconfig.ReadFile(path)
	}
	if err != nil {
		return nil, fmt.Errorf("import: %w", err)
	}
	config, err := sshconfig.Read(path, text, home)
	if err != nil {
		return nil, fmt.Errorf("import: %w", err)
	}
	for _, w := range config.Warnings {
		a.warn("%s: %s", w.At, w.Text)
	}
	config.Hosts = a.usable(config)
	return config, nil
}

// usable returns the hosts that can be machines, and warns of the others.
func (a *app) usable(config *sshconfig.Config) (hosts []sshconfig.Host) {
	for _, h := range config.Hosts {
		err := machineOf(h).Validate()
		if err == nil && h.Alias == registry.LocalName {
			err = fmt.Errorf("that name is for the machine that the registry is on")
		}
		if err != nil {
			a.warn("%s: %q is not taken over: %v", h.At, h.Alias, err)
			continue
		}
		hosts = append(hosts, h)
	}
	return hosts
}

func machineOf(h sshconfig.Host) registry.Machine {
	return registry.Machine{
		Name:     h.Alias,
		Type:     registry.TypeSSH,
		Host:     h.Destination.String(),
		KeyPath:  h.IdentityFile,
		TownPath: h.TownPath,
	}
}

// machinesOf keeps what the configuration has no word for.
func machinesOf(config *sshconfig.Config, get func(string) (registry.Machine, bool)) (list []registry.Machine) {
	for _, h := range config.Hosts {
		m := machineOf(h)
		if old, known := get(m.Name); known && m.TownPath == "" {
			m.TownPath = old.TownPath
		}
		list = append(list, m)
	}
	return list
}
