package faults_test

import (
	"errors"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"github.com/machreg/machreg/internal/vfs"
	"github.com/machreg/machreg/internal/vfs/crashfs"
)

// control is the library without one of its rules.
type control struct {
	name string
	opts crashfs.Options
	// without makes the file system of a process leave out what the rule does.
	without func(m *machine, p *process, o *omitting)
	lives   string // those whose name contains it show the loss
	mended  bool   // the rule is one that today's library does not have yet
}

var controls = []control{
	{name: "sync of the directory", opts: crashfs.Options{IgnoreSyncDir: true}, lives: "single commits"},
	{name: "sync of the file", opts: crashfs.Options{IgnoreSync: true}, lives: "single commits"},
	{name: "sync of the bytes of a write without sync", lives: "with sync, then without", without: func(_ *machine, p *process, o *omitting) {
		o.sync = func() bool { return p.full }
	}},
	{name: "sync of the name that a write without sync gave", lives: "without sync, then the same", without: func(_ *machine, p *process, o *omitting) {
		o.syncDir = func(string) bool { return !p.full }
	}},
	{name: "sync of a text from outside", lives: "text with the next revision", without: withoutOutside},
	{name: "sync of the same text again", lives: "the same text again", without: withoutOutside},
	{name: "another version after a sync that failed", lives: "sync of the directory fails once, repeated by the same process", without: func(m *machine, _ *process, o *omitting) {
		o.rename = func(to string) bool { return to != m.path || !o.failed }
	}},
	{name: "sync of the directories above", lives: "missing directories, first write", mended: true, without: func(m *machine, _ *process, o *omitting) {
		o.syncDir = func(dir string) bool { return dir == filepath.Dir(m.path) }
	}},
}

func withoutOutside(m *machine, _ *process, o *omitting) {
	o.sync = func() bool {
		m.history.mu.Lock()
		defer m.history.mu.Unlock()
		return m.outside <= m.from
	}
}

// omitting is a file system that reports success for what it does not do.
type omitting struct {
	vfs.FS
	sync    func() bool           // whether to sync a file; nil is always
	syncDir func(dir string) bool // and a directory
	rename  func(to string) bool  // whether to replace a file; the new one is gone all the same
	failed  bool                  // a directory could not be synced
}

func (o *omitting) Open(name string) (vfs.File, error) { return o.file(o.FS.Open(name)) }

func (o *omitting) Create(name string, perm fs.FileMode) (vfs.File, error) {
	return o.file(o.FS.Create(name, perm))
}

func (o *omitting) file(f vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	return omittingFile{f, o}, nil
}

func (o *omitting) OpenDir(name string) (vfs.Dir, error) {
	d, err := o.FS.OpenDir(name)
	if err != nil {
		return nil, err
	}
	return vfs.WithSync(d, func() error {
		if o.syncDir != nil && !o.syncDir(name) {
			return nil
		}
		err := d.Sync()
		o.failed = o.failed || err != nil
		return err
	}), nil
}

func (o *omitting) Rename(from, to string) error {
	if o.rename != nil && !o.rename(to) {
		return o.FS.Remove(from)
	}
	return o.FS.Rename(from, to)
}

type omittingFile struct {
	vfs.File
	o *omitting
}

func (f omittingFile) Sync() error {
	if f.o.sync != nil && !f.o.sync() {
		return nil
	}
	return f.File.Sync()
}

// TestCrashWithoutRuleLoses shows that TestEveryCrash would notice: without any
// one of the rules, acknowledged writes are lost.
func TestCrashWithoutRuleLoses(t *testing.T) {
	rng := random(t)
	for _, c := range controls {
		t.Run(c.name, func(t *testing.T) {
			if c.mended && !mended {
				t.Skip("today's library does not have this rule")
			}
			leaveOut := func(m *machine, p *process, fsys vfs.FS) vfs.FS {
				o := &omitting{FS: fsys}
				if c.without != nil {
					c.without(m, p, o)
				}
				return o
			}
			var chosen []life
			for _, l := range lives {
				if strings.Contains(l.name, c.lives) {
					chosen = append(chosen, l)
				}
			}
			states, bad := 0, 0
			for _, l := range chosen {
				n, err := l.operations()
				if err != nil {
					t.Fatal(err)
				}
				for _, o := range orders {
					c.opts.Order = o.order
					// There is most to lose in the end.
					each := 8
					for _, k := range append(share(rng, n, 16/len(chosen)), n) {
						if k == n {
							each = 64
						}
						err := l.live(k, c.opts, leaveOut, func(m *machine) {
							for range each {
								states++
								if err := m.recover(rng); errors.Is(err, errLost) || errors.Is(err, errTorn) {
									bad++
								}
							}
						})
						if err != nil {
							t.Fatal(err)
						}
					}
				}
			}
			t.Logf("%d of %d crash states lose something", bad, states)
			if bad == 0 {
				t.Error("nothing is lost: the test does not notice")
			}
		})
	}
}
