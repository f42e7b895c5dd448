package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/machreg/machreg/cmd/internal/wholefile"
	"github.com/machreg/machreg/cmd/machreg/internal/terminal"
)

func (a *app) manCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "man DIR",
		GroupID: groupCare,
		Short:   "Write the manual pages",
		Long: `Write a manual page for every command into a directory, which is made if it is
not there. The pages are made from the texts that --help shows.`,
		Example: `  machreg man man1
  man ./man1/machreg.1`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if err := os.MkdirAll(args[0], 0o755); err != nil {
				return err
			}
			n := 0
			var err error
			each(c.Root(), func(c *cobra.Command) {
				if err == nil && hasPage(c) {
					err = writePage(args[0], c)
					n++
				}
			})
			if err != nil {
				return err
			}
			a.out.Printf("wrote %s to %s\n", count(n, "page", "pages"), terminal.Safe(args[0]))
			return nil
		},
	}
}

func hasPage(c *cobra.Command) bool {
	return !c.HasParent() || c.IsAvailableCommand() && c.Name() != "help"
}

// pageName is the command's path with dashes, as manual pages of subcommands
// are called.
func pageName(c *cobra.Command) string { return strings.ReplaceAll(c.CommandPath(), " ", "-") }

func writePage(dir string, c *cobra.Command) error {
	return wholefile.Write(filepath.Join(dir, pageName(c)+".1"), func(file io.Writer) error {
		w := bufio.NewWriter(file)
		manPage(w, c)
		return w.Flush()
	})
}

// manPage writes a page in the man macros. It has no date, so that the same
// program always writes the same page.
func manPage(w io.Writer, c *cobra.Command) {
	fmt.Fprintf(w, ".TH %q 1 \"\" %q \"machreg manual\"\n", strings.ToUpper(pageName(c)), "machreg "+version())
	fmt.Fprintf(w, ".SH NAME\n%s \\- %s\n", roff(pageName(c)), roff(c.Short))
	fmt.Fprintf(w, ".SH SYNOPSIS\n.B %s\n", roff(c.UseLine()))
	text := c.Long
	if text == "" {
		text = c.Short + "."
	}
	fmt.Fprintf(w, ".SH DESCRIPTION\n")
	paragraphs(w, text)
	c.InitDefaultHelpFlag()
	options(w, "OPTIONS", c.NonInheritedFlags())
	options(w, "OPTIONS OF ALL COMMANDS", c.InheritedFlags())
	if c.HasExample() {
		fmt.Fprintf(w, ".SH EXAMPLES\n.nf\n%s\n.fi\n", roff(c.Example))
	}
	if !c.HasParent() {
		fmt.Fprintf(w, ".SH EXIT STATUS\n")
		paragraphs(w, exitHelp)
	}
	var also []string
	if c.HasParent() {
		also = append(also, pageName(c.Parent()))
	}
	for _, sub := range c.Commands() {
		if hasPage(sub) {
			also = append(also, pageName(sub))
		}
	}
	fmt.Fprintf(w, ".SH SEE ALSO\n")
	for i, name := range also {
		comma := ","
		if i == len(also)-1 {
			comma = ""
		}
		fmt.Fprintf(w, ".BR %s (1)%s\n", roff(name), comma)
	}
}

// paragraphs sets running text; what is indented keeps its lines.
func paragraphs(w io.Writer, text string) {
	for i, p := range strings.Split(text, "\n\n") {
		if i > 0 {
			fmt.Fprintln(w, ".PP")
		}
		if strings.HasPrefix(p, "  ") {
			fmt.Fprintf(w, ".nf\n%s\n.fi\n", roff(p))
		} else {
			fmt.Fprintln(w, roff(p))
		}
	}
}

func options(w io.Writer, title string, flags *pflag.FlagSet) {
	if !flags.HasAvailableFlags() {
		return
	}
	fmt.Fprintf(w, ".SH %s\n", title)
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Hidden {
			return
		}
		value, usage := pflag.UnquoteUsage(f)
		name := "--" + f.Name
		if f.Shorthand != "" {
			name = "-" + f.Shorthand + ", " + name
		}
		if value != "" {
			name += " " + value
		}
		switch f.DefValue {
		case "", "false", "0", "[]":
		default:
			usage += " (default " + f.DefValue + ")"
		}
		fmt.Fprintf(w, ".TP\n.B %s\n%s\n", roff(name), roff(usage))
	})
}

// roff escapes what the formatter would take for its own.
func roff(s string) string {
	s = strings.NewReplacer(`\`, `\e`, "-", `\-`, "'", `\(aq`, "`", "\\`").Replace(s)
	lines := strings.Split(s, "\n")
	for i, l := range lines {
		if strings.HasPrefix(l, ".") {
			lines[i] = `\&` + l
		}
	}
	return strings.Join(lines, "\n")
}
