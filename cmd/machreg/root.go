package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// The groups that the help lists commands in.
const (
	groupMachines = "machines"
	groupMany     = "many"
	groupCare     = "care"
)

// commands lists every subcommand. Each is made by a function of its own, in a
// file that is named for it.
func (a *app) commands() []*cobra.Command {
	return []*cobra.Command{
		a.addCommand(),
		a.getCommand(),
		a.listCommand(),
		a.removeCommand(),
		a.renameCommand(),
		a.editCommand(),
		a.sshCommand(),
		a.watchCommand(),
		a.applyCommand(),
		a.importCommand(),
		a.exportCommand(),
		a.diffCommand(),
		a.revisionCommand(),
		a.verifyCommand(),
		a.lockCommand(),
		a.compareCommand(),
		a.completionCommand(),
		a.manCommand(),
		a.versionCommand(),
		topic("exit-codes", "What the exit codes mean", exitHelp),
	}
}

func (a *app) rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "machreg COMMAND",
		Short: "A registry of machines in one JSON file that any number of processes share",
		Long: `machreg keeps a registry of machines in one JSON file that any number of
processes share. Nothing is lost when many write at once, and readers never wait.

The file is the one named by --file, else by MACHREG_FILE, else
machreg/machines.json in your configuration directory. It need not exist.`,
		Example: `  machreg add build-01 --host ci@build-01.example.net
  machreg list`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.ArbitraryArgs, // so that an unknown command is reported here
		RunE:          a.unknownCommand,
	}
	root.AddGroup(
		&cobra.Group{ID: groupMachines, Title: "Machines:"},
		&cobra.Group{ID: groupMany, Title: "Many at once:"},
		&cobra.Group{ID: groupCare, Title: "The registry:"},
	)
	flags := root.PersistentFlags()
	flags.SortFlags = false
	flags.StringVarP(&a.file, "file", "f", "", "registry `FILE` (default $MACHREG_FILE)")
	flags.Var(choice((*string)(&a.color), "auto", "always", "never"), "color", "colour the output: `WHEN` is auto, always or never")
	flags.DurationVar(&a.lockTimeout, "lock-timeout", 30*time.Second, "how long a write waits for the lock: `DURATION`, 0 is not at all")
	root.SetOut(a.out)
	root.SetErr(a.err)
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		a.command = c
		return usageError{err}
	})
	root.AddCommand(a.commands()...)
	root.SetUsageTemplate(usageTemplate)
	root.SetHelpCommand(a.helpCommand(root))
	each(root, a.prepare)
	each(root, a.completions)
	root.PersistentPreRun = func(c *cobra.Command, args []string) {
		a.style()
		root.SetOut(a.out)
		root.SetErr(a.err)
	}
	return root
}

// usageTemplate is what the help says about a command after its description.
const usageTemplate = `Usage:
  {{.UseLine}}{{if .Aliases}}

Aliases:
  {{.NameAndAliases}}{{end}}{{if .HasExample}}

Examples:
{{.Example}}{{end}}{{if .HasAvailableSubCommands}}{{$cmds := .Commands}}{{range $group := .Groups}}

{{.Title}}{{range $cmds}}{{if and (eq .GroupID $group.ID) .IsAvailableCommand}}
  {{rpad .Name .NamePadding}} {{.Short}}{{end}}{{end}}{{end}}{{if not .AllChildCommandsHaveGroup}}

{{if .Groups}}Help:{{else}}Commands:{{end}}{{range $cmds}}{{if and (eq .GroupID "") (or .IsAvailableCommand .IsAdditionalHelpTopicCommand)}}
  {{rpad .Name .NamePadding}} {{.Short}}{{end}}{{end}}{{end}}{{end}}{{if .HasAvailableLocalFlags}}

Flags:
{{.LocalFlags.FlagUsages | trimTrailingWhitespaces}}{{end}}{{if .HasAvailableInheritedFlags}}

Flags of all commands:
{{.InheritedFlags.FlagUsages | trimTrailingWhitespaces}}{{end}}
`

// each calls fn for c and every command below it.
func each(c *cobra.Command, fn func(*cobra.Command)) {
	fn(c)
	for _, sub := range c.Commands() {
		each(sub, fn)
	}
}

// prepare makes a command remember that it is the one, and tells errors of the
// command line from those of the work.
func (a *app) prepare(c *cobra.Command) {
	if args := c.Args; args != nil {
		c.Args = func(c *cobra.Command, list []string) error {
			a.command = c
			if err := args(c, list); err != nil {
				return usageError{err}
			}
			return nil
		}
	}
	if work := c.RunE; work != nil {
		c.RunE = func(c *cobra.Command, args []string) error {
			a.command, a.started = c, true
			return work(c, args)
		}
	}
}

// unknownCommand is what a command that only has subcommands does itself.
func (a *app) unknownCommand(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return c.Help()
	}
	var list string
	c.SuggestionsMinimumDistance = 2
	if near := c.SuggestionsFor(args[0]); len(near) > 0 {
		list = "; did you mean " + strings.Join(near, ", ") + "?"
	}
	return usagef("unknown command %q%s", args[0], list)
}

func (a *app) helpCommand(root *cobra.Command) *cobra.Command {
	return &cobra.Command{
		Use:     "help [COMMAND...]",
		Short:   "Show how a command is used",
		Example: `  machreg help list`,
		RunE: func(c *cobra.Command, args []string) error {
			found, rest, err := root.Find(args)
			if err != nil || len(rest) > 0 {
				return usagef("no help about %q", strings.Join(args, " "))
			}
			found.InitDefaultHelpFlag()
			return found.Help()
		},
		ValidArgsFunction: func(c *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
			var names []string
			if found, rest, err := root.Find(args); err == nil && len(rest) == 0 {
				for _, sub := range found.Commands() {
					if !sub.Hidden && strings.HasPrefix(sub.Name(), toComplete) {
						names = append(names, cobra.CompletionWithDesc(sub.Name(), sub.Short))
					}
				}
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
	}
}

// topic is a page of the help that is not about a command.
func topic(name, short, text string) *cobra.Command {
	return &cobra.Command{Use: name, Short: short, Long: text}
}

// choice is a flag that has one of a few values.
func choice(value *string, choices ...string) pflag.Value {
	return &choiceValue{value, choices}
}

type choiceValue struct {
	value   *string
	choices []string
}

func (v *choiceValue) String() string { return *v.value }
func (v *choiceValue) Type() string   { return "FORMAT" }

func (v *choiceValue) Set(s string) error {
	for _, c := range v.choices {
		if s == c {
			*v.value = s
			return nil
		}
	}
	return fmt.Errorf("want %s", strings.Join(v.choices, ", "))
}
