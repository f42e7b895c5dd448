package faults_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/machreg/machreg/internal/vfs"
	"github.com/machreg/machreg/registry"
)

// fileSystem is one that the power is cut under.
type fileSystem struct {
	name    string
	size    int64 // bytes
	make    []string
	mount   string // options
	recover string // options of a mount beside the original
	sync    string // what the writers sync, see roleWrite
	loses   bool
}

var fileSystems = []fileSystem{
	{name: "ext4", size: 64 << 20, make: []string{"mkfs.ext4", "-q", "-F"}, sync: "all"},
	{name: "ext4 noauto_da_alloc", size: 64 << 20, make: []string{"mkfs.ext4", "-q", "-F"}, mount: "noauto_da_alloc", sync: "all"},
	{name: "xfs", size: 320 << 20, make: []string{"mkfs.xfs", "-q", "-f", "-K"}, recover: "nouuid", sync: "all"},
	{name: "ext4, without syncing the directory", size: 64 << 20, make: []string{"mkfs.ext4", "-q", "-F"}, sync: "file", loses: true},
	{name: "xfs, without syncing the directory", size: 320 << 20, make: []string{"mkfs.xfs", "-q", "-f", "-K"}, recover: "nouuid", sync: "file", loses: true},
	{name: "ext4 noauto_da_alloc, without syncing the file", size: 64 << 20, make: []string{"mkfs.ext4", "-q", "-F"}, mount: "noauto_da_alloc", sync: "directory", loses: true},
}

// TestPowerCuts cuts the power of a disk in use, over and over, and compares
// what a file system recovers from what is left with what had been acknowledged
// when the power went. It needs root, loop devices and FUSE.
func TestPowerCuts(t *testing.T) {
	cuts := budget(t, budgetPowerCuts, 0)
	if cuts == 0 {
		t.Skipf("NOT TESTED: set %s to cut the power of real file systems, as root", budgetPowerCuts)
	}
	if os.Getuid() != 0 {
		t.Skip("NOT TESTED: only root can mount")
	}
	for _, system := range fileSystems {
		t.Run(system.name, func(t *testing.T) {
			if _, err := exec.LookPath(system.make[0]); err != nil {
				t.Skipf("NOT TESTED: %v", err)
			}
			rng := random(t)
			n := cuts
			if system.loses { // enough to lose something
				n = max(cuts/5, 20)
			}
			err := inDirectory(func(dir string) {
				rig := &rig{t: t, dir: dir, system: system, rng: rng, ledger: newLedger()}
				lost := rig.run(n)
				t.Logf("%s, %d of them lost something; %d writes acknowledged, %d flushes",
					plural(n, "power cut"), lost, len(rig.here), rig.disk.flushes)
				if system.loses && lost == 0 {
					t.Error("nothing was lost: the test does not notice")
				}
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
}

// rig is a disk with a file system in use.
type rig struct {
	t      testing.TB
	dir    string
	system fileSystem
	rng    *rand.Rand
	disk   *disk
	*ledger
}

func (r *rig) path(name string) string { return filepath.Join(r.dir, name) }

func (r *rig) command(name string, args ...string) string {
	r.t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		r.t.Fatalf("%s %q: %v: %s", name, args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// run cuts the power n times and counts the cuts that lost something.
func (r *rig) run(n int) (lost int) {
	for _, dir := range []string{"disk", "used", "recovered"} {
		must(r.t, os.Mkdir(r.path(dir), 0o755))
	}
	var err error
	if r.disk, err = newDisk(r.path("disk"), r.system.size); err != nil {
		r.t.Skipf("NOT TESTED: no FUSE: %v", err)
	}
	defer func() {
		if err := r.disk.unmount(); err != nil {
			r.t.Errorf("unmount the disk: %v", err)
		}
	}()
	device := r.command("losetup", "--show", "-f", r.disk.image())
	defer r.command("losetup", "-d", device)
	r.command(r.system.make[0], append(r.system.make[1:], device)...)
	r.command("mount", "-o", "defaults"+comma(r.system.mount), device, r.path("used"))
	defer r.command("umount", r.path("used"))
	must(r.t, os.WriteFile(r.path("used/ready"), nil, 0o644))
	unix.Sync()

	var writers []*writer
	for i := range 2 {
		w, err := r.start(fmt.Sprintf("w%d", i))
		if err != nil {
			r.t.Fatal(err)
		}
		defer w.stop()
		writers = append(writers, w)
	}
	for i := range n {
		for _, w := range writers {
			w.ask(1 + r.rng.IntN(3))
		}
		for range r.rng.IntN(4) {
			w := writers[r.rng.IntN(len(writers))]
			if w.asked > 0 {
				w.await()
			}
		}
		if r.rng.IntN(2) == 0 {
			time.Sleep(time.Duration(r.rng.Int64N(int64(4 * time.Millisecond))))
		}
		known := r.known() // before the cut
		must(r.t, r.disk.cut(r.path("cut"), r.rng))
		if err := r.recovered(known); err != nil {
			lost++
			if !r.system.loses {
				r.t.Fatalf("power cut %d: %v", i, err)
			}
		}
		for _, w := range writers {
			for w.asked > 0 {
				w.await()
			}
		}
	}
	return lost
}

func comma(options string) string {
	if options == "" {
		return ""
	}
	return "," + options
}

// known is what has been acknowledged by now.
func (r *rig) known() *ledger {
	r.mu.Lock()
	defer r.mu.Unlock()
	return &ledger{here: r.here.clone(), gone: names{}, maybe: r.maybe.clone(), revision: r.revision}
}

// recovered mounts what is left after a cut, and judges it.
func (r *rig) recovered(known *ledger) error {
	at := r.path("recovered")
	r.command("mount", "-o", "loop"+comma(r.system.mount)+comma(r.system.recover), r.path("cut"), at)
	defer r.command("umount", at)
	data, err := os.ReadFile(filepath.Join(at, "machines.json"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := known.check(data, false); err != nil {
		return err
	}
	// In a process of its own: the page of a registry stays mapped, and the
	// file system busy, until the garbage collector has seen that it is closed.
	if err := work(at, "recovered", newLedger()); err != nil {
		return err
	}
	for _, pattern := range []string{".*.tmp", ".gastown/locks/.*.tmp"} {
		left, err := filepath.Glob(filepath.Join(at, pattern))
		if err != nil || len(left) > 0 {
			return fmt.Errorf("left after the first write: %q, %v", left, err)
		}
	}
	return nil
}

// writer is a process that writes when it is asked to.
type writer struct {
	*child
	r      *rig
	prefix string
	next   int
	asked  int
	heard  chan struct{}
	done   sync.WaitGroup
}

func (r *rig) start(prefix string) (*writer, error) {
	c, err := startChild(roleWrite, r.path("used"), prefix, r.system.sync)
	if err != nil {
		return nil, err
	}
	w := &writer{child: c, r: r, prefix: prefix, heard: make(chan struct{}, 100)}
	w.done.Go(func() {
		defer close(w.heard)
		for {
			line, ok := w.line()
			if !ok {
				return
			}
			if err := r.hear(line); err != nil || line[0] != '+' {
				r.t.Errorf("writer says %q: %v", line, err)
				return
			}
			w.heard <- struct{}{}
		}
	})
	return w, nil
}

func (w *writer) ask(n int) {
	for range n {
		w.r.try(fmt.Sprintf("%s-%d", w.prefix, w.next))
		w.next++
		w.asked++
		fmt.Fprintln(w.stdin)
	}
}

func (w *writer) await() {
	if _, ok := <-w.heard; !ok {
		w.r.t.Fatalf("writer ended: %s", w.err)
	}
	w.asked--
}

func (w *writer) stop() {
	w.stdin.Close()
	w.done.Wait()
	if err := w.cmd.Wait(); err != nil {
		w.r.t.Errorf("writer: %v: %s", err, w.err)
	}
}

// roleWrite adds one machine for each line that it reads.
var roleWrite = program("write", func(args []string) error {
	dir, prefix, sync := args[0], args[1], args[2]
	r, err := registry.OpenMachines(filepath.Join(dir, "machines.json"), &registry.Options{FS: partlySynced{vfs.OS, sync}})
	if err != nil {
		return err
	}
	in := bufio.NewScanner(os.Stdin)
	for i := 0; in.Scan(); i++ {
		name := fmt.Sprintf("%s-%d", prefix, i)
		rev, err := r.Add(context.Background(), machineOf(name))
		if err != nil {
			return err
		}
		fmt.Printf("+ %s %d\n", name, rev)
	}
	return r.Close()
})

// partlySynced is a file system on which syncing has no effect on what is not
// named: "all", "file" or "directory".
type partlySynced struct {
	vfs.FS
	what string
}

func (p partlySynced) OpenDir(name string) (vfs.Dir, error) {
	d, err := p.FS.OpenDir(name)
	if err == nil && p.what == "file" {
		d = vfs.WithSync(d, func() error { return nil })
	}
	return d, err
}

func (p partlySynced) Create(name string, perm fs.FileMode) (vfs.File, error) {
	f, err := p.FS.Create(name, perm)
	if err == nil && p.what == "directory" {
		f = unsyncedFile{f}
	}
	return f, err
}

type unsyncedFile struct{ vfs.File }

func (unsyncedFile) Sync() error { return nil }
