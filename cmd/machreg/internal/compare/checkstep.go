package compare

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"

	"github.com/machreg/machreg/proptest"
	"github.com/machreg/machreg/registry"
)

// pair is the two registries between two commands: what they hold is the same,
// but for what is listed as a difference.
type pair struct {
	random       *rand.Rand
	theirs, ours *site

	// Of the command that is being run.
	command string
	found   []Finding
	apart   bool // they do not hold the same any more
}

// differ notes that a result or a part of the file differs. name is what that
// is expected as, empty if it is not.
func (p *pair) differ(name, what, theirs, ours string) {
	p.found = append(p.found, Finding{Difference: name, What: what, Baseline: theirs, Here: ours})
	p.apart = p.apart || name == ""
}

// same notes a difference that is not expected, if there is one.
func (p *pair) same(what, theirs, ours string) {
	if theirs != ours {
		p.differ("", what, theirs, ours)
	}
}

// onBoth does something with each of the two.
func (p *pair) onBoth(do func(*site) (string, error)) (theirs, ours string, err error) {
	if theirs, err = do(p.theirs); err == nil {
		ours, err = do(p.ours)
	}
	return theirs, ours, err
}

// step draws a command, runs it on both, and compares.
func (p *pair) step() error {
	steps := []struct {
		weight int
		run    func() error
	}{
		{8, p.add}, {3, p.addAgain}, {3, p.addInvalid}, {4, p.remove}, {4, p.get}, {3, p.list}, {2, p.reopen},
		{2, p.otherWrites}, {1, p.failingSave}, {1, p.unsafeText}, {1, p.unknownMembers}, {1, p.badEntry},
		{1, p.lenientFile}, {1, p.brokenFile}, {1, p.deletedFile}, {1, p.mode},
	}
	total := 0
	for _, s := range steps {
		total += s.weight
	}
	at := p.random.IntN(total)
	for _, s := range steps {
		if at -= s.weight; at < 0 {
			return s.run()
		}
	}
	return nil
}

func (p *pair) pick(of ...string) string { return of[p.random.IntN(len(of))] }

func (p *pair) name() string { return p.pick("a", "b-1", "c.d", "e f", "ü<&>", `☃"\`) }

func (p *pair) machine() registry.Machine {
	m := registry.Machine{
		Name: p.name(), Type: p.pick("local", "ssh", "docker"), Host: p.pick("", "h", "ci@h"),
		KeyPath: p.pick("", "/k", `C:\k "x"`), TownPath: p.pick("", "/srv/a", "ü ☃ </script>"),
	}
	if m.Type == registry.TypeSSH && m.Host == "" {
		m.Host = "h"
	}
	return m
}

// write runs a write on both and compares results and files.
func (p *pair) write(do func(*site) error) error {
	before, err := viewFile(p.ours.path())
	if err != nil {
		return err
	}
	beforeTheirs, err := viewFile(p.theirs.path())
	if err != nil {
		return err
	}
	theirs, ours, _ := p.onBoth(func(s *site) (string, error) { return word(do(s)), nil })
	p.same("result", theirs, ours)
	if p.apart {
		return nil
	}
	return p.files(beforeTheirs, before)
}

// files compares the files after a write, each with what it was before.
func (p *pair) files(beforeTheirs, before fileView) error {
	theirs, err := viewFile(p.theirs.path())
	if err != nil {
		return err
	}
	ours, err := viewFile(p.ours.path())
	if err != nil {
		return err
	}
	p.same("file: entries", theirs.entries, ours.entries)
	if theirs.replaced(beforeTheirs) && !ours.replaced(before) && ours.entries == before.entries {
		p.differ(proptest.IdenticalWrite, "file: rewritten", "yes", "no")
	} else if theirs.replaced(beforeTheirs) != ours.replaced(before) {
		p.differ("", "file: rewritten", fmt.Sprint(theirs.replaced(beforeTheirs)), fmt.Sprint(ours.replaced(before)))
	}
	if !ours.there {
		return nil
	}
	p.same("file: version", theirs.version, ours.version)
	if ours.numbers && !theirs.numbers {
		p.differ("revisions", "file: revision, checksum", "none", "there")
	} else if ours.replaced(before) {
		p.differ("", "file: revision, checksum", fmt.Sprint(theirs.numbers), fmt.Sprint(ours.numbers))
	}
	if theirs, text := theirs.unknownText(), ours.unknownText(); theirs != text {
		// Ours must be what was put there, theirs nothing.
		if ours.keptUnknown(before) && theirs == "" {
			p.differ(proptest.UnknownMembers, "file: unknown members", "dropped", "kept")
			p.apart = true
		} else {
			p.differ("", "file: unknown members", theirs, text)
		}
	}
	return nil
}

func (p *pair) add() error {
	m := p.machine()
	p.command = fmt.Sprintf("add %q %s", m.Name, machineText(m))
	return p.write(func(s *site) error { return s.Add(m) })
}

func (p *pair) addAgain() error {
	name := p.name()
	p.command = fmt.Sprintf("add %q as it is", name)
	m, err := p.ours.Get(name)
	if err != nil {
		return p.add()
	}
	return p.write(func(s *site) error { return s.Add(m) })
}

func (p *pair) addInvalid() error {
	m := p.machine()
	switch p.random.IntN(3) {
	case 0:
		m.Name = ""
	case 1:
		m.Type = ""
	default:
		m.Type, m.Host = registry.TypeSSH, ""
	}
	p.command = fmt.Sprintf("add %q %s", m.Name, machineText(m))
	return p.write(func(s *site) error { return s.Add(m) })
}

func (p *pair) remove() error {
	name := p.pick(p.name(), p.name(), p.name(), registry.LocalName)
	p.command = fmt.Sprintf("remove %q", name)
	return p.write(func(s *site) error { return s.Remove(name) })
}

func (p *pair) get() error {
	name := p.pick(p.name(), p.name(), p.name(), registry.LocalName)
	p.command = fmt.Sprintf("get %q", name)
	p.same("result", p.theirs.read(name), p.ours.read(name))
	return nil
}

func (p *pair) list() error {
	p.command = "list"
	text := func(list []registry.Machine) (s []string) {
		for _, m := range list {
			s = append(s, m.Name+": "+machineText(m))
		}
		return s
	}
	theirs, ours := text(p.theirs.List()), text(p.ours.List())
	a, b := slices.Sorted(slices.Values(theirs)), slices.Sorted(slices.Values(ours))
	p.same("result", strings.Join(a, "\n"), strings.Join(b, "\n"))
	byName := slices.IsSortedFunc(p.ours.List(), func(a, b registry.Machine) int { return strings.Compare(a.Name, b.Name) })
	if !byName {
		p.differ("", "order", "any", "not by name")
	} else if !p.apart && !slices.Equal(theirs, ours) {
		p.differ(proptest.ListOrder, "order", "another one each time", "by name")
	}
	return nil
}

func (p *pair) reopen() error {
	p.command = "close and open"
	theirs, ours, _ := p.onBoth(func(s *site) (string, error) { return word(s.reopen()), nil })
	p.same("result", theirs, ours)
	return nil
}

// both puts the same content into both files.
func (p *pair) both(content string) error {
	for _, s := range []*site{p.theirs, p.ours} {
		if err := os.WriteFile(s.path(), []byte(content), 0o644); err != nil {
			return err
		}
	}
	return nil
}
