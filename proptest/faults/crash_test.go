package faults_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/machreg/machreg/filelock"
	"github.com/machreg/machreg/internal/vfs/crashfs"
	"github.com/machreg/machreg/internal/vfs/errorfs"
	"github.com/machreg/machreg/registry"
)

// machine is a computer whose power goes at some operation. Its processes share
// the disk, and each can die by itself.
type machine struct {
	disk    *crashfs.FS
	power   *errorfs.FS // what all processes see; ends at the power cut
	lockDir string
	existed bool
	*ledger
}

// process is one process's registry; nil if it could not be opened.
type process struct {
	m *machine
	r *registry.MachineRegistry
	// calls is what this process sees of the file system; it ends when the
	// process dies.
	calls *errorfs.FS
}

func (m *machine) start() *process {
	calls := errorfs.Wrap(m.power)
	r, err := registry.OpenMachines(registryPath, &registry.Options{FS: calls, LockDir: m.lockDir, Refresh: registry.RefreshNever})
	if err != nil {
		return nil
	}
	return &process{m, r, calls}
}

func (p *process) add(name string) error {
	if p == nil {
		return errorfs.ErrPowerLoss
	}
	p.m.try(name)
	rev, err := p.r.Add(context.Background(), machineOf(name))
	p.m.note(rev, err, []string{name}, nil)
	return err
}

func (p *process) remove(name string) {
	if p == nil {
		return
	}
	p.m.try(name)
	rev, err := p.r.Remove(context.Background(), name)
	p.m.note(rev, err, nil, []string{name})
}

func (p *process) update(names ...string) {
	if p == nil {
		return
	}
	p.m.try(names...)
	rev, err := p.r.Update(context.Background(), func(tx *registry.Tx[registry.Machine]) error {
		for _, name := range names {
			if err := tx.Put(name, machineOf(name)); err != nil {
				return err
			}
		}
		return nil
	})
	p.m.note(rev, err, names, nil)
}

// group adds names that wait for the lock together.
func (p *process) group(names ...string) {
	if p == nil {
		return
	}
	held, err := filelock.New(filepath.Join(p.m.lockDir, "machines.json.lock"), nil).Lock(context.Background())
	if err != nil {
		return
	}
	var calling, done sync.WaitGroup
	for _, name := range names {
		calling.Add(1)
		done.Go(func() {
			calling.Done()
			p.add(name)
		})
	}
	calling.Wait()
	held.Unlock()
	done.Wait()
}

func (p *process) close() {
	if p != nil {
		p.r.Close()
	}
}

// life is what happens on a machine before the power goes.
type life struct {
	name    string
	missing bool // there is no registry file to begin with
	beside  bool // new versions are written beside the file, not beside its lock
	prepare func(m *machine)
	run     func(m *machine)
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
	{name: "foreign write during a commit", run: func(m *machine) {
		p := m.start()
		if p == nil {
			return
		}
		once := true
		p.calls.Before(func(op errorfs.Op) {
			if op.Kind != errorfs.Sync || !once {
				return
			}
			once = false
			// Somebody careful, but without the lock.
			m.try("foreign")
			if m.foreign("foreign") == nil {
				m.note(0, nil, []string{"foreign"}, nil)
			}
		})
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
			if dying := m.start(); dying != nil {
				dying.calls.Inject(errorfs.PowerLossAt(k))
				dying.add("b")
				dying.close()
			}
			survivor := m.start()
			survivor.add("b")
			survivor.close()
		}})
	}
}

// foreign adds a name without the lock, as a careful script would: by a synced
// file of its own that it renames.
func (m *machine) foreign(name string) error {
	data, err := m.disk.ReadFile(registryPath)
	if err != nil {
		return err
	}
	f, err := parse(data)
	if err != nil {
		return err
	}
	f.names[name] = true
	text := inOurForm(f.revision+1, f.names)
	temp := filepath.Join(filepath.Dir(registryPath), "edited")
	file, err := m.power.Create(temp, 0o644)
	if err != nil {
		return err
	}
	defer file.Close()
	if _, err := file.Write(text); err != nil {
		return err
	}
	if err := file.Sync(); err != nil {
		return err
	}
	if err := m.power.Rename(temp, registryPath); err != nil {
		return err
	}
	return m.power.SyncDir(filepath.Dir(registryPath))
}

// live runs a life until the power goes at operation k, and hands what is on
// the disk then, before anything is forgotten, to judge.
func (l life) live(k int, opts crashfs.Options, judge func(m *machine)) error {
	return inDirectory(func(dir string) {
		m := &machine{disk: crashfs.New(&opts), lockDir: dir, ledger: newLedger(), existed: !l.missing}
		m.power = errorfs.Wrap(m.disk)
		m.disk.MkdirAll(filepath.Dir(registryPath))
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
		m.power.Inject(errorfs.PowerLossAt(k))
		l.run(m)
		judge(m)
	})
}

// operations is how many there are before the power goes.
func (l life) operations() (n int, err error) {
	err = l.live(math.MaxInt-1, crashfs.Options{}, func(m *machine) { n = m.power.Ops() })
	return n, err
}

// recover is what happens when the power is back: one of the states that the
// disk may be in is judged, and then used.
func (m *machine) recover(rng *rand.Rand) error {
	disk := m.disk.Crash(rng)
	data, err := disk.ReadFile(registryPath)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := m.check(data, m.existed); err != nil {
		return err
	}
	// The page may have survived too, in the state it was in.
	opts := &registry.Options{FS: disk, LockDir: m.lockDir, Refresh: registry.RefreshNever, Page: registry.PageOff}
	if rng.IntN(8) == 0 {
		opts.Page = registry.PageAuto
	}
	r, err := registry.OpenMachines(registryPath, opts)
	if err != nil {
		return fmt.Errorf("after the crash: %w", err)
	}
	defer r.Close()
	if _, err := r.Add(context.Background(), machineOf("recovered")); err != nil {
		return fmt.Errorf("after the crash: %w", err)
	}
	after, err := disk.ReadFile(registryPath)
	if err != nil {
		return err
	}
	want := names{"recovered": true}
	if data != nil {
		f, _ := parse(data)
		for name := range f.names {
			want[name] = true
		}
	}
	if f, err := parse(after); err != nil || !f.names.equal(want) {
		return fmt.Errorf("first write after the crash: %v, the file holds %v, want %v", err, f.names, want)
	}
	for _, dir := range []string{filepath.Dir(registryPath), m.lockDir} {
		left, err := disk.ReadNames(dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		for _, name := range left {
			if strings.HasSuffix(name, ".tmp") {
				return fmt.Errorf("left after the first write: %q, %v", left, err)
			}
		}
	}
	return nil
}

var orders = map[string]crashfs.Order{"in order": crashfs.Journal, "in any order": crashfs.AnyOrder}

// TestEveryCrash lets the power go at every operation of every life, and
// recovers from many of the states that the disk may then be in.
func TestEveryCrash(t *testing.T) {
	rng := random(t)
	points := 0
	for _, l := range lives {
		n, err := l.operations()
		if err != nil {
			t.Fatal(err)
		}
		points += n + 1
	}
	perPoint := points * len(orders)
	each := (budget(t, budgetCrashes, 4000) + perPoint - 1) / perPoint
	states := 0
	for _, l := range lives {
		for order := range orders {
			t.Run(l.name+"/"+order, func(t *testing.T) {
				n, err := l.operations()
				if err != nil {
					t.Fatal(err)
				}
				for k := range n + 1 {
					err := l.live(k, crashfs.Options{Order: orders[order]}, func(m *machine) {
						for range each {
							states++
							if err := m.recover(rng); err != nil {
								t.Fatalf("power lost at operation %d: %v\n%s", k, err, m.disk)
							}
						}
					})
					if err != nil {
						t.Fatal(err)
					}
				}
			})
		}
	}
	t.Logf("%d crash points, %d crash states", points, states)
}

// TestCrashWithoutSyncLoses shows that the test above would notice: with either
// sync left out, acknowledged writes are lost.
func TestCrashWithoutSyncLoses(t *testing.T) {
	rng := random(t)
	for name, opts := range map[string]crashfs.Options{
		"directory": {IgnoreSyncDir: true},
		"file":      {IgnoreSync: true},
	} {
		t.Run(name, func(t *testing.T) {
			states, bad := 0, 0
			for _, l := range lives[:4] {
				n, err := l.operations()
				if err != nil {
					t.Fatal(err)
				}
				for k := range n + 1 {
					err := l.live(k, opts, func(m *machine) {
						for range 5 {
							states++
							if m.recover(rng) != nil {
								bad++
							}
						}
					})
					if err != nil {
						t.Fatal(err)
					}
				}
			}
			t.Logf("%d of %d crash states without syncing the %s lose something", bad, states, name)
			if bad == 0 {
				t.Error("nothing is lost: the test does not notice")
			}
		})
	}
}
