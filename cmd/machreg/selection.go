package main

import (
	"cmp"
	"iter"
	"path"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/machreg/machreg/registry"
)

// selection is which machines a command is about.
type selection struct {
	types   []string
	globs   []string
	sort    string
	field   func(*registry.Machine) *string // to sort by; nil is by name
	reverse bool
}

func (s *selection) flags(c *cobra.Command) {
	c.Flags().StringSliceVar(&s.types, "type", nil, "only machines of this `TYPE`; may be repeated")
	c.Flags().StringArrayVar(&s.globs, "match", nil, "only machines whose name matches `GLOB`; may be repeated")
}

func (s *selection) sortFlag(c *cobra.Command) {
	c.Flags().StringVar(&s.sort, "sort", "name", "sort by `FIELD`: name, type, host, key_path or town_path; -FIELD is from the end")
}

// check reports mistakes in the flags.
func (s *selection) check() error {
	for _, g := range s.globs {
		if _, err := path.Match(g, ""); err != nil {
			return usagef("--match %q: %w", g, err)
		}
	}
	name, reverse := strings.CutPrefix(s.sort, "-")
	s.reverse = reverse
	if name == "" || name == "name" {
		return nil
	}
	for _, f := range fields {
		if f.name == name {
			s.field = f.value
			return nil
		}
	}
	return usagef("--sort %q: no such field", s.sort)
}

func (s *selection) includes(m registry.Machine) bool {
	if len(s.types) > 0 && !slices.Contains(s.types, m.Type) {
		return false
	}
	if len(s.globs) == 0 {
		return true
	}
	return slices.ContainsFunc(s.globs, func(g string) bool {
		ok, _ := path.Match(g, m.Name)
		return ok
	})
}

// of yields the selected machines of a snapshot, in order. Only an order other
// than by name costs memory.
func (s *selection) of(snap *machines) iter.Seq[registry.Machine] {
	byName := func(yield func(registry.Machine) bool) {
		for _, m := range snap.All() {
			if s.includes(m) && !yield(m) {
				return
			}
		}
	}
	if s.field == nil && !s.reverse {
		return byName
	}
	list := slices.Collect(byName)
	if s.field != nil {
		slices.SortStableFunc(list, func(x, y registry.Machine) int {
			return cmp.Compare(*s.field(&x), *s.field(&y))
		})
	}
	if s.reverse {
		slices.Reverse(list)
	}
	return slices.Values(list)
}
