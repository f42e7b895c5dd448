package main

import (
	"github.com/spf13/cobra"
)

func (a *app) revisionCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "revision",
		GroupID: groupCare,
		Short:   "Print the revision the registry is at",
		Long: `Print the revision the registry is at: a number that grows with every write.
It is what --if-revision and --at-least take. Nothing is locked, written or
created.`,
		Example: `  machreg revision
  machreg add build-01 --host ci@build-01.example.net --if-revision "$(machreg revision)"`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, args []string) error {
			snap, err := a.read()
			if err != nil {
				return err
			}
			a.out.Printf("%d\n", snap.Revision())
			if snap.Edited() {
				a.warn("the file was edited since revision %d: --if-revision is refused until the next write", snap.Revision())
			}
			return nil
		},
	}
}
