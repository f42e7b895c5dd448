package compare

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"

	"github.com/machreg/machreg/proptest"
	"github.com/machreg/machreg/registry"
)

// These are the commands in which the two are known to differ, or in which
// something other than a registry has a hand. Each demands of both sides what
// the documented difference says, and nothing else will do.

// expect notes a difference under its name if both results are as documented,
// and as unexpected otherwise.
func (p *pair) expect(name, what, theirs, wantTheirs, ours, wantOurs string) {
	switch {
	case theirs == ours:
	case theirs == wantTheirs && ours == wantOurs:
		p.differ(name, what, theirs, ours)
	default:
		p.differ("", what, theirs, ours)
	}
}

const (
	done    = "done"
	failure = "failed"
)

// otherWrites lets another handle write, and reads as freshly as one can.
func (p *pair) otherWrites() error {
	m := p.machine()
	p.command = fmt.Sprintf("add %q %s by another handle, get", m.Name, machineText(m))
	before := p.theirs.read(m.Name)
	theirs, ours, err := p.onBoth(func(s *site) (string, error) {
		other, err := s.open(s.dir)
		if err != nil {
			return "", err
		}
		if err := other.Add(m); err != nil {
			return "", err
		}
		if err := other.(io.Closer).Close(); err != nil {
			return "", err
		}
		return s.readLatest(m.Name), nil
	})
	if err != nil {
		return err
	}
	p.expect("other-writers", "result", theirs, before, ours, machineText(m))
	theirs, ours, _ = p.onBoth(func(s *site) (string, error) {
		return word(s.refresh()) + ", " + s.read(m.Name), nil
	})
	p.same("result after a refresh", theirs, ours)
	return nil
}

// failingSave adds while nothing can be saved, and looks what is in memory.
func (p *pair) failingSave() error {
	m := p.machine()
	m.TownPath += "/never"
	p.command = fmt.Sprintf("add %q %s while saving fails, get", m.Name, machineText(m))
	before := p.ours.read(m.Name)
	theirs, ours, err := p.onBoth(func(s *site) (string, error) {
		mend, err := s.Subject.(proptest.SaveBreaker).BreakSaves()
		if err != nil {
			return "", err
		}
		result := word(s.Add(m))
		mend()
		return result, nil
	})
	if err != nil {
		return err
	}
	p.same("result", theirs, ours)
	p.expect(proptest.MemoryBeforeSave, "result of the read", p.theirs.read(m.Name), machineText(m), p.ours.read(m.Name), before)
	theirs, ours, _ = p.onBoth(func(s *site) (string, error) { return word(s.refresh()), nil })
	p.same("result of a refresh", theirs, ours)
	// Without a file to read, the baseline keeps it for good.
	if p.theirs.read(m.Name) != p.ours.read(m.Name) {
		p.apart = true
	}
	return nil
}

func (p *pair) unsafeText() error {
	m := p.machine()
	switch p.random.IntN(3) {
	case 0:
		m.TownPath = "a\x1b[31m"
	case 1:
		m.KeyPath = "a\nb"
	default:
		m.Type, m.Host = registry.TypeSSH, "-oProxyCommand=x"
	}
	p.command = fmt.Sprintf("add %q %s", m.Name, machineText(m))
	theirs, ours, _ := p.onBoth(func(s *site) (string, error) { return word(s.Add(m)), nil })
	p.expect(proptest.TextChecks, "result", theirs, done, ours, "refused: invalid")
	p.apart = true
	return nil
}

// edited is a file as somebody might write it, with one machine "a".
func edited(member, entry string) string {
	return fmt.Sprintf(`{"version":1,%s"machines":{"a":{"name":"a","type":"docker"%s,"host":"","key_path":"","town_path":""}}}`, member, entry)
}

func (p *pair) unknownMembers() error {
	p.command = "edit the file: members that nobody knows"
	if err := p.both(edited(`"owner":{"x":[1,2.50]},`, `,"rack":"r1"`)); err != nil {
		return err
	}
	theirs, ours, _ := p.onBoth(func(s *site) (string, error) { return word(s.refresh()) + ", " + s.read("a"), nil })
	p.same("result", theirs, ours)
	return nil // the next write brings it to light
}

func (p *pair) badEntry() error {
	p.command = `edit the file: "bad" is of type ssh without a host, get "bad"`
	if err := p.both(strings.Replace(edited("", ""), `{"a"`, `{"bad":{"name":"bad","type":"ssh"},"a"`, 1)); err != nil {
		return err
	}
	theirs, ours, _ := p.onBoth(func(s *site) (string, error) { return word(s.refresh()) + ", " + s.read("a"), nil })
	p.same("result for the other machine", theirs, ours)
	p.expect(proptest.UncheckedEntries, "result", p.theirs.read("bad"), machineText(registry.Machine{Type: registry.TypeSSH}),
		p.ours.read("bad"), word(registry.ErrNotFound))
	p.apart = true
	return nil
}

func (p *pair) lenientFile() error {
	what, content := "version 2", strings.Replace(edited("", ""), `"version":1`, `"version":2`, 1)
	switch p.random.IntN(3) {
	case 0:
		what, content = "a name twice", strings.Replace(edited("", ""), `{"a"`, `{"a":{"name":"a","type":"local"},"a"`, 1)
	case 1:
		what, content = "invalid UTF-8", strings.Replace(edited("", ""), `"docker"`, "\"\xff\"", 1)
	}
	p.command = "edit the file: " + what + ", refresh"
	return p.damage(proptest.LenientFile, content, done)
}

func (p *pair) brokenFile() error {
	content := p.pick("", "{", "[]", `{"version":1,"machines":[]}`, edited("", "")[:40])
	p.command = fmt.Sprintf("overwrite the file with %q, refresh", content)
	return p.damage("", content, failure)
}

// damage puts something into both files that this registry must not read.
func (p *pair) damage(name, content, theirWay string) error {
	if err := p.both(content); err != nil {
		return err
	}
	theirs, ours, _ := p.onBoth(func(s *site) (string, error) { return word(s.refresh()), nil })
	p.expect(name, "result", theirs, theirWay, ours, failure)
	p.same("result of a write", failure, word(p.ours.Add(registry.Machine{Name: "a", Type: "local"})))
	if kept, err := os.ReadFile(p.ours.path()); err != nil || string(kept) != content {
		p.differ("", "file", "as it was", fmt.Sprintf("%q, %v", kept, err))
	}
	p.apart = true
	return nil
}

func (p *pair) deletedFile() error {
	m := p.machine()
	p.command = fmt.Sprintf("delete the file, add %q %s", m.Name, machineText(m))
	v, err := viewFile(p.ours.path())
	if err != nil || !v.there {
		return err
	}
	theirs, ours, err := p.onBoth(func(s *site) (string, error) {
		if err := os.Remove(s.path()); err != nil {
			return "", err
		}
		return word(s.Add(m)), nil
	})
	if err != nil {
		return err
	}
	p.expect("deleted-file", "result", theirs, done, ours, word(registry.ErrMissing))
	p.apart = true
	return nil
}

// mode restricts who may read the file, and writes.
func (p *pair) mode() error {
	m := p.machine()
	p.command = fmt.Sprintf("chmod 600, add %q %s", m.Name, machineText(m))
	v, err := viewFile(p.ours.path())
	if err != nil || !v.there || runtime.GOOS == "windows" { // which has no such modes
		return err
	}
	m.TownPath = fmt.Sprintf("/srv/%d", p.random.Uint64()) // so that there is something to write
	theirs, ours, err := p.onBoth(func(s *site) (string, error) {
		if err := os.Chmod(s.path(), 0o600); err != nil {
			return "", err
		}
		if err := s.Add(m); err != nil {
			return "", err
		}
		info, err := os.Stat(s.path())
		if err != nil {
			return "", err
		}
		if info.Mode().Perm() == 0o600 {
			return "kept", nil
		}
		return "not kept", nil
	})
	p.expect("temporary-file", "file: mode", theirs, "not kept", ours, "kept")
	p.apart = true
	return err
}
