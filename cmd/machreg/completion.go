package main

import (
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/machreg/machreg/registry"
)

func (a *app) completionCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "completion SHELL",
		GroupID: groupCare,
		Short:   "Print a script that completes commands and machine names in a shell",
		Long: `Print a script for bash, zsh, fish or powershell. When it is loaded the shell
completes commands, flags and the names of machines. It reads the registry
without a lock, and gives up rather than keep you waiting.

  bash        source <(machreg completion bash)
  zsh         machreg completion zsh > "${fpath[1]}/_machreg"
  fish        machreg completion fish > ~/.config/fish/completions/machreg.fish
  powershell  machreg completion powershell | Out-String | Invoke-Expression`,
		Example:   `  machreg completion bash`,
		Args:      cobra.MatchAll(cobra.ExactArgs(1), cobra.OnlyValidArgs),
		ValidArgs: []string{"bash", "zsh", "fish", "powershell"},
		RunE: func(c *cobra.Command, args []string) error {
			root := c.Root()
			switch args[0] {
			case "bash":
				return root.GenBashCompletionV2(a.out, true)
			case "zsh":
				return root.GenZshCompletion(a.out)
			case "fish":
				return root.GenFishCompletion(a.out, true)
			}
			return root.GenPowerShellCompletionWithDesc(a.out)
		},
	}
}

// completions makes the shells complete what a command takes: machine names for
// arguments that are called so, and the values of flags.
func (a *app) completions(c *cobra.Command) {
	words := strings.Fields(c.Use)
	if c.ValidArgsFunction == nil && len(words) > 1 {
		switch words[1] {
		case "NAME", "OLD":
			c.ValidArgsFunction = a.completeNames(1)
		case "NAME...":
			c.ValidArgsFunction = a.completeNames(-1)
		}
	}
	if c.Name() == "add" {
		c.ValidArgsFunction = cobra.NoFileCompletions
	}
	complete := func(flag string, values ...string) {
		if c.Flags().Lookup(flag) != nil || c.PersistentFlags().Lookup(flag) != nil {
			// The only error is a flag that is registered twice.
			_ = c.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
		}
	}
	complete("color", "auto", "always", "never")
	complete("type", registry.TypeSSH, registry.TypeLocal)
	complete("sort", "name", "type", "host", "key_path", "town_path")
	complete("as", "yaml", "json")
	if f := c.Flags().Lookup("output"); f != nil {
		switch v := f.Value.(type) {
		case *format:
			complete("output", "table", "wide", "json", "yaml", "csv", "name", "template=")
		case *choiceValue:
			complete("output", v.choices...)
		}
	}
}

// completionPatience is how long a shell may be kept waiting for names.
const completionPatience = time.Second

// completeNames completes the names of machines for the first most arguments;
// -1 is all.
func (a *app) completeNames(most int) cobra.CompletionFunc {
	return func(c *cobra.Command, args []string, toComplete string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if most >= 0 && len(args) >= most {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		a.command = c
		path, err := a.path()
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		read := make(chan *machines, 1)
		go func() {
			snap, err := readOnly(path)
			if err == nil {
				read <- snap
			}
			close(read)
		}()
		var names []cobra.Completion
		select {
		case snap := <-read:
			if snap == nil {
				break
			}
			for name, m := range snap.All() {
				if strings.HasPrefix(name, toComplete) {
					names = append(names, cobra.CompletionWithDesc(name, describe(m)))
				}
			}
		case <-time.After(completionPatience):
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	}
}
