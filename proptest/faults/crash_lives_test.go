package faults_test

import (
	"fmt"
	"math"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/machreg/machreg/internal/vfs"
	"github.com/machreg/machreg/internal/vfs/crashfs"
	"github.com/machreg/machreg/internal/vfs/errorfs"
	"github.com/machreg/machreg/registry"
)

// life is what happens on a machine before the power goes.
type life struct {
	name        string
	missing     bool // there is no registry file to begin with
	directories bool // nor its directory, nor the one above
	beside      bool // new versions are written beside the file, not beside its lock
	broken      bool // an acknowledged write is lost, or a write refused; see mended
	found       bool // the registry is found in directories that are not durable; see allParents
	prepare     func(m *machine)
	run         func(m *machine)
}

var lives = []life{
	{name: "first write of a missing file", missing: true, run: func(m *machine) {
		p := m.start()
		p.add("b")
		p.add("c")
		p.close()
	}},
	{name: "single commits", run: func(m *machine) {
		p := m.start()
		p.add("b")
		p.remove("a")
		p.add("c")
		p.close()
	}},
	{name: "single commits, written beside the file", beside: true, run: func(m *machine) {
		p := m.start()
		p.add("b")
		p.remove("a")
		p.add("c")
		p.close()
	}},
	{name: "groups", run: func(m *machine) {
		p := m.start()
		p.group("b", "c", "d", "e")
		p.group("f", "g")
		p.close()
	}},
	{name: "transactions", run: func(m *machine) {
		p := m.start()
		p.update("b", "c")
		p.update("d", "e", "f")
		p.close()
	}},
	{name: "left-over temporary files", prepare: func(m *machine) {
		for i := range 2 {
			m.disk.WriteFile(leftover(i), []byte(`{"version": 1,`))
		}
	}, run: func(m *machine) {
		p := m.start()
		p.add("b")
		p.close()
	}},
	{name: "directory that cannot be synced, retry", run: func(m *machine) {
		p := m.start()
		if p == nil {
			return
		}
		p.calls.Inject(errorfs.Plan{Match: errorfs.Only(errorfs.SyncDir), Fault: errorfs.Fail(syscall.EIO)})
		p.add("b")
		p.add("b")
		q := m.start()
		q.add("b")
		p.close()
		q.close()
	}},
}

// A process dies at each operation of a write. The next one repeats the write:
// it may find it done, but not durable.
func init() {
	const operations = 15 // of opening, writing and closing
	for k := range operations {
		lives = append(lives, life{name: fmt.Sprintf("process that dies at operation %d", k), run: func(m *machine) {
			dying := m.start()
			dying.dieAt(k)
			dying.add("b")
			dying.close()
			survivor := m.start()
			survivor.add("b")
			survivor.close()
		}})
		lives = append(lives, life{name: fmt.Sprintf("process without sync that dies at operation %d", k), broken: true, run: func(m *machine) {
			dying := m.start(notSynced)
			dying.dieAt(k)
			dying.add("b")
			dying.close()
			survivor := m.start(withoutPage)
			survivor.add("b")
			survivor.close()
		}})
	}
}

// Processes with both kinds of sync share a registry.
func init() {
	lives = append(lives,
		life{name: "with sync, then without", broken: true, run: func(m *machine) {
			full, none := m.start(), m.start(notSynced)
			full.add("b")
			none.add("c")
			full.add("d")
			none.remove("b")
			none.update("e", "f")
			full.close()
			none.close()
		}},
		life{name: "without sync, then with", broken: true, run: func(m *machine) {
			none, full := m.start(notSynced), m.start()
			none.add("b")
			none.add("c")
			full.add("d")
			none.add("e")
			full.close()
			none.close()
		}},
		life{name: "without sync, then the same with", broken: true, run: func(m *machine) {
			none, full := m.start(notSynced), m.start()
			none.add("b")
			full.add("b")
			none.update("c", "d")
			none.close()
			full.update("c", "d")
			full.close()
		}},
		life{name: "without sync, then the same by a new process", broken: true, run: func(m *machine) {
			none := m.start(notSynced)
			none.add("b")
			none.close()
			full := m.start()
			full.add("b")
			full.close()
		}},
		life{name: "without sync, followed by one that then writes the same", broken: true, run: func(m *machine) {
			none, full := m.start(notSynced), m.start(withoutPage)
			none.add("b")
			full.refresh()
			full.add("b")
			none.add("b")
			full.close()
			none.close()
		}},
		life{name: "without sync, first write", missing: true, broken: true, run: func(m *machine) {
			none, full := m.start(notSynced), m.start()
			none.add("b")
			full.add("b")
			none.add("c")
			full.add("d")
			none.close()
			full.close()
		}},
		life{name: "several of each", broken: true, run: func(m *machine) {
			none, more := m.start(notSynced), m.start(notSynced, withoutPage)
			full, other := m.start(), m.start(withoutPage)
			full.add("b")
			none.add("c")
			more.add("d")
			other.add("d")
			none.add("e")
			full.add("c")
			more.remove("b")
			other.add("f")
			for _, p := range []*process{none, more, full, other} {
				p.close()
			}
		}},
		life{name: "one without sync commits before the directory is synced", broken: true, run: func(m *machine) {
			none, full := m.start(notSynced), m.start()
			full.before(errorfs.SyncDir, func() { none.add("c") })
			full.add("b")
			full.add("d")
			none.close()
			full.close()
		}},
		life{name: "groups of each", broken: true, run: func(m *machine) {
			none, full := m.start(notSynced), m.start()
			none.group("b", "c", "d")
			full.group("b", "c", "d")
			none.group("e", "f")
			full.group("f", "g")
			none.close()
			full.close()
		}},
	)
}

// Texts that are written from outside and not synced: before commits, between
// them, and as what a write finds that has nothing to change.
func init() {
	for _, w := range []way{inPlace, renamed} {
		for _, f := range []form{handWritten, withRevision, staleChecksum} {
			lives = append(lives, life{name: fmt.Sprintf("text %s, %s", f, w), broken: true, run: func(m *machine) {
				none, full := m.start(notSynced), m.start()
				m.edit("x", f, w)
				full.add("b")
				m.edit("y", f, w)
				full.add("y")
				m.edit("z", f, w)
				none.add("c")
				full.add("c")
				m.edit("w", f, w)
				none.add("w")
				full.add("w")
				none.close()
				full.close()
			}},
				life{name: fmt.Sprintf("text %s, %s, seen before it is written to", f, w), broken: true, run: func(m *machine) {
					p := m.start()
					m.edit("x", f, w)
					p.refresh()
					p.add("x")
					m.edit("y", f, w)
					p.refresh()
					p.add("b")
					p.close()
					m.edit("z", f, w)
					q := m.start()
					q.add("z")
					q.close()
				}})
		}
		lives = append(lives, life{name: fmt.Sprintf("text written during a commit, %s", w), run: func(m *machine) {
			p := m.start()
			p.before(errorfs.Sync, func() { m.edit("x", withRevision, w) })
			p.add("b")
			p.close()
		}},
			life{name: fmt.Sprintf("text written before the directory is synced, %s", w), broken: true, run: func(m *machine) {
				p := m.start()
				p.before(errorfs.SyncDir, func() { m.edit("x", handWritten, w) })
				p.add("b")
				p.add("b")
				p.add("x")
				p.add("c")
				p.close()
			}},
			life{name: fmt.Sprintf("the same text again, %s", w), broken: true, run: func(m *machine) {
				p, q := m.start(), m.start()
				p.add("b")
				m.restore(m.observe(), w)
				p.add("b")
				m.restore(m.observe(), w)
				q.add("b")
				m.restore(m.observe(), w)
				q.refresh()
				q.add("b")
				p.close()
				q.close()
			}},
			life{name: fmt.Sprintf("older text put back, %s", w), broken: true, run: func(m *machine) {
				p := m.start()
				p.add("b")
				was := m.observe()
				p.add("c")
				m.restore(was, w)
				p.add("b")
				q := m.start(withoutPage)
				q.add("d")
				m.restore(was, w)
				q.add("b")
				p.close()
				q.close()
			}})
	}
	lives = append(lives, life{name: "text written during a commit, synced", run: func(m *machine) {
		p := m.start()
		p.before(errorfs.Sync, func() { m.edit("foreign", withRevision, synced) })
		p.add("b")
		p.close()
	}})
}

// A sync fails once, and what it should have covered is given up. The write is
// repeated.
func init() {
	for _, repeat := range []struct {
		who   string
		again func(m *machine, p *process)
	}{
		{"the same process", func(_ *machine, p *process) { p.add("b") }},
		{"a new process", func(m *machine, p *process) {
			p.close()
			q := m.start()
			q.add("b")
			q.close()
		}},
		{"a process without page", func(m *machine, _ *process) {
			q := m.start(withoutPage)
			q.add("b")
			q.close()
		}},
		{"a process without sync, then the first", func(m *machine, p *process) {
			q := m.start(notSynced)
			q.add("b")
			p.add("b")
			q.close()
		}},
	} {
		who, again := repeat.who, repeat.again
		for _, s := range []syncs{ofDirectory, ofFile} {
			lives = append(lives, life{name: fmt.Sprintf("sync of the %s fails once, repeated by %s", s, who), broken: s == ofDirectory || strings.Contains(who, "without sync"), run: func(m *machine) {
				p := m.start()
				m.failSyncs(s, 1)
				p.add("b")
				again(m, p)
				p.close()
			}}, life{name: fmt.Sprintf("sync of the %s fails once for a write that changes nothing, repeated by %s", s, who), broken: true, run: func(m *machine) {
				none, p := m.start(notSynced), m.start()
				none.add("b")
				m.failSyncs(s, 1)
				p.add("b")
				again(m, p)
				none.close()
				p.close()
			}}, life{name: fmt.Sprintf("sync of the %s fails once for a text from outside, repeated by %s", s, who), broken: true, run: func(m *machine) {
				p := m.start()
				m.edit("b", withRevision, renamed)
				m.failSyncs(s, 1)
				p.add("b")
				again(m, p)
				p.close()
			}})
		}
	}
	// The kernel reports the failure to one of those that sync, not to all.
	for _, c := range []struct {
		name string
		open func(*registry.Options)
	}{{"", func(*registry.Options) {}}, {", without page", withoutPage}} {
		open := c.open
		lives = append(lives, life{name: "sync that fails is another process's" + c.name, broken: true, run: func(m *machine) {
			p, q := m.start(open), m.start(open)
			p.before(errorfs.SyncDir, func() {
				m.failSyncs(ofDirectory, 1)
				q.add("c")
			})
			p.add("b")
			p.add("b")
			q.add("c")
			p.close()
			q.close()
		}})
	}
	for _, s := range []syncs{ofDirectory, ofFile} {
		lives = append(lives, life{name: fmt.Sprintf("sync of the %s fails twice", s), broken: s == ofDirectory, run: func(m *machine) {
			p, q := m.start(), m.start()
			m.failSyncs(s, 2)
			p.add("b")
			p.add("b")
			q.add("b")
			p.add("b")
			q.add("c")
			p.close()
			q.close()
		}}, life{name: fmt.Sprintf("sync of the %s fails once, first write", s), missing: true, broken: s == ofDirectory, run: func(m *machine) {
			p := m.start()
			m.failSyncs(s, 1)
			p.add("b")
			p.add("b")
			p.close()
		}}, life{name: fmt.Sprintf("sync of the %s fails once without sync", s), broken: true, run: func(m *machine) {
			none, full := m.start(notSynced), m.start()
			m.failSyncs(s, 1)
			none.add("b")
			none.add("b")
			full.add("b")
			none.close()
			full.close()
		}}, life{name: fmt.Sprintf("sync of the %s fails once, then a text from outside", s), broken: s == ofDirectory, run: func(m *machine) {
			p := m.start()
			m.failSyncs(s, 1)
			p.add("b")
			m.edit("x", handWritten, renamed)
			p.add("b")
			p.add("x")
			p.close()
		}}, life{name: fmt.Sprintf("sync of the %s fails once, then another write", s), run: func(m *machine) {
			p := m.start()
			m.failSyncs(s, 1)
			p.add("b")
			p.add("c")
			p.add("b")
			p.close()
		}})
	}
}

// The directory of the registry, and the one above, are not there yet.
func init() {
	add := func(name string, run func(m *machine)) {
		lives = append(lives, life{name: "missing directories, " + name, missing: true, directories: true, broken: true, run: run})
	}
	add("first write", func(m *machine) {
		p := m.start()
		p.add("b")
		p.add("c")
		p.close()
	})
	add("two processes", func(m *machine) {
		p, q := m.start(), m.start(withoutPage)
		p.add("b")
		q.add("b")
		q.add("c")
		p.close()
		q.close()
	})
	add("first write without sync", func(m *machine) {
		none, full := m.start(notSynced), m.start()
		none.add("b")
		full.add("b")
		full.add("c")
		none.close()
		full.close()
	})
	add("first write without sync, then a new process", func(m *machine) {
		none := m.start(notSynced)
		none.add("b")
		full := m.start()
		full.add("b")
		full.close()
		none.add("c")
		other := m.start(withoutPage)
		other.add("d")
		other.close()
		none.close()
	})
	add("sync fails once", func(m *machine) {
		p := m.start()
		for _, dir := range []string{filepath.Dir(m.path), filepath.Dir(filepath.Dir(m.path)), filepath.Dir(filepath.Dir(filepath.Dir(m.path)))} {
			once := true
			m.disk.FailSync(func(name string) error {
				if name != dir || !once {
					return nil
				}
				once = false
				return syscall.EIO
			})
			p.add("b")
		}
		m.disk.FailSync(nil)
		p.add("b")
		p.add("c")
		p.close()
	})
	const operations = 24
	for k := range operations {
		add(fmt.Sprintf("process that dies at operation %d", k), func(m *machine) {
			dying := m.start()
			dying.dieAt(k)
			dying.add("b")
			dying.close()
			p := m.start()
			p.add("b")
			p.add("c")
			p.close()
		})
	}
	makeFromOutside := func(m *machine, sync bool) {
		dir := filepath.Dir(m.path)
		for _, d := range []string{filepath.Dir(dir), dir} {
			m.explain("make a directory from outside", m.power.Mkdir(d, 0o755))
			if sync {
				m.explain("sync a directory from outside", vfs.SyncDir(m.power, filepath.Dir(d)))
			}
		}
	}
	fromOutside := func(m *machine, sync bool) {
		makeFromOutside(m, sync)
		p := m.start()
		p.add("b")
		p.add("b")
		p.close()
	}
	add("made from outside, synced", func(m *machine) { fromOutside(m, true) })
	add("made from outside", func(m *machine) { fromOutside(m, false) })
	add("made from outside with the file", func(m *machine) {
		makeFromOutside(m, false)
		m.edit("x", withRevision, renamed)
		p := m.start()
		p.add("x")
		p.add("b")
		p.close()
	})
	lives[len(lives)-1].found = true
}

// live runs a life until the power goes at operation k, and hands what is on
// the disk then, before anything is forgotten, to judge.
func (l life) live(k int, opts crashfs.Options, leaveOut func(*machine, *process, vfs.FS) vfs.FS, judge func(m *machine)) error {
	return inDirectory(func(dir string) {
		m := &machine{path: registryPath, lockDir: dir, ledger: newLedger()}
		m.now.Store(1_700_000_000_000_000_000)
		opts.Now = func() int64 { return m.now.Add(100_000) }
		m.disk = crashfs.New(&opts)
		m.power = errorfs.Wrap(m.disk)
		m.disk.MkdirAll(filepath.Dir(registryPath))
		if l.directories {
			m.path = filepath.Join(filepath.Dir(registryPath), "some", "where", filepath.Base(registryPath))
		}
		if !l.beside {
			m.disk.MkdirAll(dir)
		}
		if !l.missing {
			first := m.start()
			first.add("a")
			first.close()
		}
		if l.prepare != nil {
			l.prepare(m)
		}
		m.disk.SyncAll()
		m.begin()
		m.copyPage()
		m.leaveOut = leaveOut
		m.power.Before(func(op errorfs.Op) {
			m.observe()
			if op.Kind == errorfs.Rename && op.To == m.path || op.Kind == errorfs.SyncDir {
				m.copyPage()
			}
		})
		m.began = m.power.Ops()
		m.loss = m.power.Inject(errorfs.PowerLossAt(k))
		l.run(m)
		m.observe()
		m.copyPage()
		judge(m)
	})
}

// operations is how many there are before the power goes.
func (l life) operations() (n int, err error) {
	var unused int64
	err = l.live(math.MaxInt-1, crashfs.Options{}, nil, func(m *machine) {
		n, unused = m.power.Ops()-m.began, m.failing.Load()
	})
	if unused > 0 && !l.skipped() {
		err = fmt.Errorf("%s: %s less than planned failed", l.name, plural(int(unused), "sync"))
	}
	return n, err
}
