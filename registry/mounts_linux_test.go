package registry_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/machreg/machreg/internal/sandbox"
	"github.com/machreg/machreg/registry"
)

// release is where a path led for a while.
type release struct {
	path     string
	from, to time.Time // around the renames of the link
}

// memoryDir is a directory in memory, where a commit does not wait for a disk,
// if there is one.
func memoryDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "machreg")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// TestSwapsWhileWritten turns a link while handles write and read.
//
// What is promised: an acknowledged write is in the file that the path led to at
// some moment between the call and its return. It need not be in the file that
// the path leads to at the return: the turn may come right after the commit, or
// between its last look and its rename, and what was written then stays behind
// in the old place, as every other write that was made there before. Who turns a
// link without taking what is behind it along undoes those writes; a handle
// neither can know nor may carry them over. What must not happen: a write in a
// place that the path did not lead to during the call, a write in no place, an
// error though the path led to a registry all the time, and a handle that stays
// behind.
//
// With the old directories removed at once it cannot be told whether a write was
// in one of them. Then every write must be acknowledged all the same, and the
// last ones, after which nothing is turned, must be there.
func TestSwapsWhileWritten(t *testing.T) {
	for _, removed := range []bool{false, true} {
		for _, layout := range []string{"release", "mount"} {
			t.Run(fmt.Sprintf("%s/removed=%t", layout, removed), func(t *testing.T) {
				base := memoryDir(t)
				place := func(n int) string { return filepath.Join(base, strconv.Itoa(n), "machines.json") }
				path := filepath.Join(base, "current", "machines.json")
				if layout == "mount" {
					path = filepath.Join(base, "machines.json")
					must(t, os.Symlink(filepath.Join("current", "machines.json"), path))
				}
				var releases []release
				turn := func(n int) error {
					err := os.Mkdir(filepath.Dir(place(n)), 0o755)
					if err == nil {
						err = os.WriteFile(place(n), handWritten(t, fmt.Sprint("release-", n)), 0o644)
					}
					if err == nil {
						err = os.Symlink(strconv.Itoa(n), filepath.Join(base, "new"))
					}
					now := time.Now()
					if err == nil {
						err = os.Rename(filepath.Join(base, "new"), filepath.Join(base, "current"))
					}
					if len(releases) > 0 {
						releases[len(releases)-1].to = time.Now()
					}
					releases = append(releases, release{path: place(n), from: now, to: now.Add(never)})
					if err == nil && removed && n > 1 {
						err = removeAll(filepath.Dir(place(n - 1)))
					}
					return err
				}
				must(t, turn(1))

				type write struct {
					name     string
					from, to time.Time
				}
				var mu sync.Mutex
				var writes []write
				stop := make(chan struct{})
				var wg sync.WaitGroup
				handles := []*registry.MachineRegistry{}
				for i, o := range []registry.Options{
					{}, {Page: registry.PageOff}, {Refresh: registry.RefreshNever, Sync: registry.SyncNone}, {Refresh: registry.RefreshPoll},
				} {
					o.PollInterval = 20 * time.Millisecond
					r := open(t, path, &o)
					handles = append(handles, r)
					wg.Go(func() {
						for n := 0; ; n++ {
							select {
							case <-stop:
								return
							default:
							}
							w := write{name: fmt.Sprintf("w-%d-%d", i, n), from: time.Now()}
							if _, err := r.Add(t.Context(), machineOf(w.name)); err != nil {
								t.Errorf("Add(%q) = %v", w.name, err)
								return
							}
							w.to = time.Now()
							mu.Lock()
							writes = append(writes, w)
							mu.Unlock()
						}
					})
					if i%2 == 1 {
						continue // reads by its commits
					}
					wg.Go(func() {
						for {
							select {
							case <-stop:
								return
							default:
							}
							snap, err := r.Latest(t.Context())
							if err != nil {
								t.Errorf("Latest = %v", err)
								return
							}
							for name, m := range snap.All() {
								if err := sameMachine(name, m); err != nil {
									t.Error(err)
									return
								}
							}
						}
					})
				}
				last := 1
				for deadline := time.Now().Add(time.Duration(long(4)) * time.Second); time.Now().Before(deadline) && !t.Failed(); {
					last++
					if err := turn(last); err != nil {
						t.Error(err)
					}
					time.Sleep(time.Duration(last%5) * time.Millisecond / 4) // some turns apart, some at once
				}
				close(stop)
				wg.Wait()
				t.Logf("%d turns, %d writes", last, len(writes))

				for i, r := range handles {
					name := fmt.Sprint("last-", i)
					add(t, r, name)
					if raw := mustParse(t, place(last)); raw.Machines[name] != machineOf(name) {
						t.Errorf("%q is not in %q, where the path leads", name, place(last))
					}
				}
				for i, r := range handles {
					eventually(t, "Health is good", func() bool { return r.Health() == nil })
					if snap, err := r.Latest(t.Context()); err != nil || !snap.Holds("last-0") || !snap.Holds("last-3") {
						t.Errorf("Latest of handle %d is without the last writes (%v)", i, err)
					}
				}
				if removed {
					return
				}
				held := make([]map[string]registry.Machine, len(releases))
				for i, rel := range releases {
					if raw, err := parseRaw(mustRead(t, rel.path)); err == nil { // else never written
						held[i] = raw.Machines
					}
				}
			writes:
				for _, w := range writes {
					for i, rel := range releases {
						if !rel.from.After(w.to) && !rel.to.Before(w.from) && held[i][w.name] == machineOf(w.name) {
							continue writes
						}
					}
					t.Errorf("%q is in no file that the path led to while it was written", w.name)
				}
			})
		}
	}
}

// Thousands of updates leave no watch, descriptor, goroutine or mapping behind.
func TestSwapsLeaveNothing(t *testing.T) {
	original := newPath(t)
	source := open(t, original, &registry.Options{Sync: registry.SyncNone, Refresh: registry.RefreshNever})
	add(t, source, "first")
	m := newConfigMount(t, mustRead(t, original))
	r := open(t, m.path(), &registry.Options{PollInterval: never})
	needEvents(t, r)
	next := steps(t, r.Watch(bounded(t)))
	swap := func(i int) {
		name := fmt.Sprintf("m-%d", i%100)
		if i%2 == 1 {
			if _, err := source.Remove(t.Context(), fmt.Sprintf("m-%d", (i-1)%100)); err != nil {
				t.Fatal(err)
			}
		} else {
			add(t, source, name)
		}
		m.put(t, mustRead(t, original))
		if i%10 == 0 {
			follows(t, r, next, name)
		}
	}
	for i := range 20 {
		swap(i)
	}
	rest := func() (n resources) {
		registry.AwaitRetired(source.Registry)
		registry.AwaitRetired(r.Registry)
		return resourcesNow(t, m.dir)
	}
	before := rest()
	swaps := long(1000)
	for i := range swaps {
		swap(20 + i)
	}
	var after resources
	eventually(t, "everything is let go", func() bool {
		after = rest()
		return !after.over(before)
	})
	t.Logf("before: %+v, after %d swaps: %+v", before, swaps, after)
}

// A mount that is read-only, as that of a ConfigMap is, holds no lock and no
// page: handles of both kinds read it and follow it, and nothing is wrong but that
// the one that could write cannot. Writes are refused, at once, and leave nothing.
func TestReadOnlyMount(t *testing.T) {
	if !sandbox.Enter(t, sandbox.Mounts) {
		return
	}
	for _, events := range []string{"events", "polling"} {
		t.Run(events, func(t *testing.T) {
			m := newConfigMount(t, handWritten(t, "first"))
			seen := t.TempDir()
			sandbox.Bind(t, m.dir, seen)
			must(t, syscall.Mount("", seen, "", syscall.MS_BIND|syscall.MS_REMOUNT|syscall.MS_RDONLY, ""))
			path := filepath.Join(seen, mountFile)
			o := registry.Options{PollInterval: never}
			if events == "polling" {
				o = registry.Options{PollInterval: 5 * time.Millisecond, Refresh: registry.RefreshPoll}
			}
			var handles []*registry.MachineRegistry
			var nexts []func() registry.Change[registry.Machine]
			for _, readOnly := range []bool{false, true} {
				o.ReadOnly = readOnly
				r := open(t, path, &o)
				handles = append(handles, r)
				nexts = append(nexts, steps(t, r.Watch(bounded(t))))
			}
			for i := range long(50) {
				name := fmt.Sprintf("m-%d", i)
				m.put(t, handWritten(t, name))
				for n, r := range handles {
					follows(t, r, nexts[n], name)
				}
			}
			before := list(t, m.dir)
			for i, r := range handles {
				asExpected := func() bool {
					err := r.Health()
					if i == 1 {
						return err == nil
					}
					h, ok := errors.AsType[*registry.HealthError](err)
					return ok && len(h.Problems) == 1 && h.Problems[0].Part == "writes"
				}
				eventually(t, "Health is as expected", asExpected)
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				_, err := r.Add(ctx, machineOf("lost"))
				cancel()
				if want := error(syscall.EROFS); !errors.Is(err, want) && !errors.Is(err, registry.ErrReadOnly) {
					t.Errorf("Add = %v, want %v", err, want)
				}
			}
			if after := list(t, m.dir); fmt.Sprint(after) != fmt.Sprint(before) {
				t.Errorf("the mount holds %q, want %q", after, before)
			}
		})
	}
}

// A directory that becomes read-only under an open handle, and writable again:
// reads go on, writes are refused and then work.
func TestReadOnlyForAWhile(t *testing.T) {
	if !sandbox.Enter(t, sandbox.Mounts) {
		return
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "machines.json")
	r := open(t, path, &registry.Options{PollInterval: 10 * time.Millisecond})
	add(t, r, "one")
	// A mount that a page is mapped from cannot be made read-only itself.
	must(t, syscall.Mount(dir, dir, "", syscall.MS_BIND, ""))
	must(t, syscall.Mount("", dir, "", syscall.MS_BIND|syscall.MS_REMOUNT|syscall.MS_RDONLY, ""))
	again := open(t, path, nil)
	for _, r := range []*registry.MachineRegistry{r, again} {
		if _, err := r.Add(t.Context(), machineOf("lost")); !errors.Is(err, syscall.EROFS) {
			t.Errorf("Add = %v, want %v", err, syscall.EROFS)
		}
		if snap, err := r.Latest(t.Context()); err != nil || !snap.Holds("one") || snap.Holds("lost") {
			t.Errorf("Latest = %v, %v", snap, err)
		}
	}
	must(t, syscall.Unmount(dir, syscall.MNT_DETACH))
	add(t, r, "two")
	add(t, again, "three")
	if snap, err := r.Latest(t.Context()); err != nil || !snap.Holds("three") {
		t.Errorf("Latest = %v, %v, want the other's write", snap, err)
	}
}

// Another directory is mounted over that of an open handle, or over one above,
// and taken away again. The handle serves what is at the path, within
// PollInterval; a commit never writes to what is covered.
func TestMountedOver(t *testing.T) {
	if !sandbox.Enter(t, sandbox.Mounts) {
		return
	}
	for _, over := range []string{"town", "."} {
		for _, policy := range []registry.RefreshPolicy{registry.RefreshWatch, registry.RefreshPoll, registry.RefreshNever} {
			for _, first := range []string{"reads", "writes"} {
				t.Run(fmt.Sprintf("%s/%d/%s first", over, policy, first), func(t *testing.T) {
					base, other := t.TempDir(), t.TempDir()
					for _, dir := range []string{base, other} {
						must(t, os.Mkdir(filepath.Join(dir, "town"), 0o755))
					}
					path, covering := filepath.Join(base, "town", "machines.json"), filepath.Join(other, "town", "machines.json")
					r := open(t, path, &registry.Options{PollInterval: 10 * time.Millisecond, Refresh: policy})
					add(t, r, "below")
					below := filepath.Join(t.TempDir(), "machines.json") // a way to what will be covered
					sandbox.Bind(t, filepath.Join(base, "town"), filepath.Dir(below))
					above := open(t, covering, &registry.Options{Refresh: registry.RefreshNever})
					add(t, above, "above")
					for n := range 3 {
						target := filepath.Join(base, over)
						must(t, syscall.Mount(filepath.Join(other, over), target, "", syscall.MS_BIND, ""))
						check := func(has, hasNot, where, notWhere string) {
							t.Helper()
							if first == "reads" {
								eventually(t, "the handle serves what is at the path", func() bool {
									snap, err := r.Latest(t.Context())
									return err == nil && snap.Holds(has) && !snap.Holds(hasNot)
								})
								if policy != registry.RefreshNever {
									eventually(t, "plain reads too", func() bool { return r.Snapshot().Holds(has) && !r.Snapshot().Holds(hasNot) })
								}
							}
							name := fmt.Sprintf("%s-%d", has, n)
							add(t, r, name)
							if raw := mustParse(t, where); raw.Machines[name] != machineOf(name) {
								t.Errorf("%q is not at the path", name)
							}
							if raw := mustParse(t, notWhere); raw.Machines[name] == machineOf(name) {
								t.Errorf("%q is where the path does not lead", name)
							}
							eventually(t, "Health is good", func() bool { return r.Health() == nil })
						}
						check("above", "below", covering, below)
						// What is written through the other path is seen here.
						rev := add(t, above, fmt.Sprint("through-", n))
						if snap, err := r.AtLeast(t.Context(), rev); err != nil || !snap.Holds(fmt.Sprint("through-", n)) {
							t.Errorf("AtLeast(%d) = %v, %v", rev, snap, err)
						}
						must(t, syscall.Unmount(target, syscall.MNT_DETACH))
						check("below", "above", below, covering)
					}
				})
			}
		}
	}
}

// In an overlay, as the root of a container is, the file is first one of the
// lower layer. The first write puts it into the upper one.
func TestOverlay(t *testing.T) {
	if !sandbox.Enter(t, sandbox.Mounts) {
		return
	}
	for _, edit := range []string{"commit", "in place"} {
		t.Run(edit, func(t *testing.T) {
			// An overlay is not made of directories on an overlay.
			base := t.TempDir()
			sandbox.Mount(t, "none", base, "tmpfs", 0, "size=16m")
			for _, dir := range []string{"lower", "upper", "work", "merged"} {
				must(t, os.Mkdir(filepath.Join(base, dir), 0o755))
			}
			lower := filepath.Join(base, "lower", "machines.json")
			image := open(t, lower, nil)
			add(t, image, "image")
			merged := filepath.Join(base, "merged")
			data := fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s", filepath.Join(base, "lower"), filepath.Join(base, "upper"), filepath.Join(base, "work"))
			if err := syscall.Mount("overlay", merged, "overlay", 0, data); err != nil {
				t.Skipf("NOT TESTED: no overlay: %v", err)
			}
			t.Cleanup(func() { syscall.Unmount(merged, syscall.MNT_DETACH) })
			path := filepath.Join(merged, "machines.json")
			r := open(t, path, &registry.Options{PollInterval: 10 * time.Millisecond})
			reader := open(t, path, &registry.Options{PollInterval: 10 * time.Millisecond, ReadOnly: true})
			next := steps(t, reader.Watch(bounded(t)))
			if edit == "in place" {
				mustWrite(t, path, string(handWritten(t, "image", "edited")))
				follows(t, reader, next, "edited")
			}
			for i := range 20 {
				name := fmt.Sprintf("m-%d", i)
				add(t, r, name)
				follows(t, reader, next, name)
				other := open(t, path, nil)
				name = fmt.Sprintf("o-%d", i)
				add(t, other, name)
				follows(t, r, steps(t, r.Watch(t.Context(), registry.WithInitial())), name)
				follows(t, reader, next, name)
			}
			if raw := mustParse(t, lower); len(raw.Machines) != 2 { // and the built-in one
				t.Errorf("the lower layer holds %v", raw.Machines)
			}
			for _, r := range []*registry.MachineRegistry{r, reader} {
				eventually(t, "Health is good", func() bool { return r.Health() == nil })
			}
		})
	}
}

// The links of /proc lead where their text does not say: to a directory that is
// covered by a mount, or seen from another root. The registry is where the
// system goes.
func TestLinksOfProc(t *testing.T) {
	if !sandbox.Enter(t, sandbox.Mounts) {
		return
	}
	base, beside := t.TempDir(), t.TempDir()
	sandbox.Bind(t, base, beside)
	dir, err := os.Open(base)
	must(t, err)
	defer dir.Close()
	sandbox.Mount(t, "none", base, "tmpfs", 0, "size=8m")
	path := fmt.Sprintf("/proc/self/fd/%d/machines.json", dir.Fd())
	for _, policy := range []registry.RefreshPolicy{registry.RefreshWatch, registry.RefreshNever} {
		r := open(t, path, &registry.Options{Refresh: policy})
		name := fmt.Sprint("m-", policy)
		add(t, r, name)
		if left := list(t, base); len(left) != 0 {
			t.Errorf("the path does not lead to %q, which holds %q", base, left)
		}
		if raw := mustParse(t, filepath.Join(beside, "machines.json")); raw.Machines[name] != machineOf(name) {
			t.Errorf("%q is not where the path leads", name)
		}
		if err := r.Health(); err != nil {
			t.Errorf("Health() = %v", err)
		}
	}
}

// One directory that the path leads over twice, under two names, is watched
// once: events for what is in it come under one of them.
func TestOneDirectoryUnderTwoNames(t *testing.T) {
	if !sandbox.Enter(t, sandbox.Mounts) {
		return
	}
	for _, names := range [][2]string{{"a", "b"}, {"b", "a"}} {
		t.Run(names[0]+" to "+names[1], func(t *testing.T) {
			base := t.TempDir()
			first, second := filepath.Join(base, names[0]), filepath.Join(base, names[1])
			must(t, os.Mkdir(first, 0o755))
			must(t, os.Mkdir(second, 0o755))
			sandbox.Bind(t, first, second)
			put := func(n int, name string) {
				must(t, os.Mkdir(filepath.Join(base, strconv.Itoa(n)), 0o755))
				mustWrite(t, filepath.Join(base, strconv.Itoa(n), "machines.json"), string(handWritten(t, name)))
				turnLink(t, filepath.Join(first, "current"), filepath.Join(base, strconv.Itoa(n)))
			}
			put(0, "first")
			must(t, os.Symlink(filepath.Join(second, "current", "machines.json"), filepath.Join(first, "machines.json")))
			r := open(t, filepath.Join(first, "machines.json"), &registry.Options{PollInterval: never})
			needEvents(t, r)
			next := steps(t, r.Watch(bounded(t)))
			for n := range 20 {
				name := fmt.Sprintf("m-%d", n)
				put(n+1, name)
				follows(t, r, next, name)
			}
		})
	}
}
