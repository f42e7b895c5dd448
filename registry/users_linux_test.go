package registry_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/machreg/machreg/internal/sandbox"
	"github.com/machreg/machreg/registry"
)

// Two users who share a directory by a group, and one who owns a directory that
// root works in.
const (
	alice, bob       = 1001, 1002
	aliceOwn, bobOwn = 2001, 2002 // their first groups
	staff            = 3000       // which both are in
)

// roleUser does one thing to a registry: "add" a machine of that name, "look" at
// it with a handle that could write, or "hold" the lock until it is killed.
var roleUser = program("user", func(args []string) error {
	path, deed, name, umask := args[0], args[1], args[2], args[3]
	mask, err := strconv.ParseInt(umask, 8, 32)
	if err != nil {
		return err
	}
	syscall.Umask(int(mask))
	r, err := registry.OpenMachines(path, nil)
	if err != nil {
		return err
	}
	switch deed {
	case "add":
		_, err = r.Add(context.Background(), machineOf(name))
	case "hold":
		if _, err = r.Add(context.Background(), machineOf(name)); err != nil {
			return err
		}
		_, err = registry.UpdateLocked(context.Background(), r.Registry, func(*tx) error {
			fmt.Println("holds")
			return awaitParent()
		})
	}
	return errors.Join(err, r.Close())
})

// user starts processes as somebody.
type user func(cmd *exec.Cmd)

func root(*exec.Cmd)       {}
func asAlice(c *exec.Cmd)  { sandbox.As(c, alice, aliceOwn, staff) }
func asBob(c *exec.Cmd)    { sandbox.As(c, bob, bobOwn, staff) }
func inAlices(c *exec.Cmd) { sandbox.Rootless(c, alice, staff) }
func inBobs(c *exec.Cmd)   { sandbox.Rootless(c, bob, staff) }

func (u user) command(t *testing.T, path, deed, name, umask string) *exec.Cmd {
	cmd := childCommand(t, roleUser, path, deed, name, umask)
	cmd.Path = "/proc/self/exe" // the directories on the way to the program are closed to others
	cmd.Stderr = nil
	u(cmd)
	return cmd
}

// does runs one deed to its end. A process that is to hold the lock is killed.
func (u user) does(t *testing.T, path, deed, name, umask string) error {
	cmd := u.command(t, path, deed, name, umask)
	if deed != "hold" {
		out, err := cmd.CombinedOutput()
		if err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	}
	c := startCommand(t, cmd)
	if line, ok := c.line(); !ok || line != "holds" {
		return fmt.Errorf("the holder said %q", line)
	}
	c.kill()
	return nil
}

// sharedDir is a directory of alice's that a group may write in.
func sharedDir(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(sandbox.OpenDir(t), "shared")
	must(t, os.Mkdir(dir, 0o700))
	must(t, os.Chown(dir, alice, staff))
	must(t, os.Chmod(dir, 0o775|os.ModeSetgid))
	return dir
}

// Whatever the first user does first, with whatever umask, the second one can
// write, and then the first one again.
func TestTwoUsers(t *testing.T) {
	if !sandbox.Enter(t, sandbox.Users) {
		return
	}
	for _, deed := range []string{"add", "look", "hold"} {
		for _, umask := range []string{"002", "022"} {
			for _, acl := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s with umask %s, default ACL %t", deed, umask, acl), func(t *testing.T) {
					dir := sharedDir(t)
					if acl {
						setDefaultACL(t, dir)
					}
					path := filepath.Join(dir, "machines.json")
					must(t, user(asAlice).does(t, path, deed, "first", umask))
					for _, next := range []struct {
						who  user
						name string
					}{{asBob, "second"}, {asAlice, "third"}, {asBob, "fourth"}} {
						if err := next.who.does(t, path, "add", next.name, umask); err != nil {
							t.Fatalf("add %q: %v", next.name, err)
						}
					}
					r := open(t, path, &registry.Options{ReadOnly: true})
					want := 3
					if deed != "look" {
						want++
					}
					if n := r.Len() - 1; n != want {
						t.Errorf("%d machines are there, want %d", n, want)
					}
				})
			}
		}
	}
}

// setDefaultACL lets staff write whatever is made in dir.
func setDefaultACL(t *testing.T, dir string) {
	t.Helper()
	acl := binary.LittleEndian.AppendUint32(nil, 2)
	for _, e := range []struct{ tag, perm uint16 }{{1, 7}, {4, 7}, {0x10, 7}, {0x20, 5}} { // owner, group, mask, others
		acl = binary.LittleEndian.AppendUint16(acl, e.tag)
		acl = binary.LittleEndian.AppendUint16(acl, e.perm)
		acl = binary.LittleEndian.AppendUint32(acl, ^uint32(0))
	}
	if err := unix.Setxattr(dir, "system.posix_acl_default", acl, 0); errors.Is(err, unix.ENOTSUP) {
		t.Skip("NOT TESTED: a file system without access control lists")
	} else {
		must(t, err)
	}
}

// Writers of two users at the same time, as themselves and in user namespaces of
// their own.
func TestTwoUsersAtOnce(t *testing.T) {
	if !sandbox.Enter(t, sandbox.Users) {
		return
	}
	const each = 25
	for name, users := range map[string][2]user{"users": {asAlice, asBob}, "user namespaces": {inAlices, inBobs}} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(sharedDir(t), "machines.json")
			var started []*exec.Cmd
			for i := range each {
				for n, u := range users {
					cmd := u.command(t, path, "add", fmt.Sprintf("m-%d-%d", n, i), "022")
					cmd.Stderr = os.Stderr
					must(t, cmd.Start())
					started = append(started, cmd)
				}
			}
			acknowledged := 0
			for _, cmd := range started {
				if err := cmd.Wait(); err != nil {
					t.Error(err)
				} else {
					acknowledged++
				}
			}
			there := open(t, path, &registry.Options{ReadOnly: true}).Len() - 1
			t.Logf("%d acknowledged, %d there", acknowledged, there)
			if acknowledged != 2*each || there != 2*each {
				t.Errorf("%d acknowledged, %d there, want %d", acknowledged, there, 2*each)
			}
		})
	}
}

// Whatever root did in alice's directory, she can write afterwards, and what is
// there is hers.
func TestRootWasHere(t *testing.T) {
	if !sandbox.Enter(t, sandbox.Users) {
		return
	}
	for _, umask := range []string{"022", "077"} {
		for _, first := range []string{"", "add"} { // what alice did before
			for _, deed := range []string{"add", "look", "hold"} {
				for _, below := range []string{"", "new/directories"} {
					t.Run(fmt.Sprintf("umask %s, alice %q, root %q in %q", umask, first, deed, below), func(t *testing.T) {
						home := filepath.Join(sandbox.OpenDir(t), "home")
						must(t, os.Mkdir(home, 0o755))
						must(t, os.Chown(home, alice, aliceOwn))
						path := filepath.Join(home, below, "machines.json")
						if first != "" {
							must(t, user(asAlice).does(t, path, first, "hers", "022"))
						}
						must(t, user(root).does(t, path, deed, "roots", umask))
						for _, name := range everything(t, home) {
							info, err := os.Lstat(name)
							must(t, err)
							if st := info.Sys().(*syscall.Stat_t); st.Uid != alice || st.Gid != aliceOwn {
								t.Errorf("%q belongs to %d:%d", name, st.Uid, st.Gid)
							}
						}
						must(t, user(asAlice).does(t, path, "add", "later", "022"))
						must(t, user(root).does(t, path, "add", "again", umask))
						must(t, user(asAlice).does(t, path, "add", "last", "022"))
					})
				}
			}
		}
	}
}

// A directory that root died in before it could hand it over is empty, and is
// made anew.
func TestUnfinishedDirectory(t *testing.T) {
	if !sandbox.Enter(t, sandbox.Users) {
		return
	}
	for _, unfinished := range []string{".gastown", ".gastown/locks"} {
		t.Run(unfinished, func(t *testing.T) {
			dir := sharedDir(t)
			must(t, os.MkdirAll(filepath.Join(dir, unfinished), 0o700))
			if unfinished != ".gastown" {
				must(t, os.Chown(filepath.Join(dir, ".gastown"), alice, staff))
				must(t, os.Chmod(filepath.Join(dir, ".gastown"), 0o775|os.ModeSetgid))
			}
			must(t, user(asAlice).does(t, filepath.Join(dir, "machines.json"), "add", "a", "022"))
			must(t, user(asBob).does(t, filepath.Join(dir, "machines.json"), "add", "b", "022"))
		})
	}
}

// In a user namespace most owners cannot be kept. That is no reason not to write,
// and nobody may read more than before.
func TestOwnersThatAreNotMapped(t *testing.T) {
	if !sandbox.Enter(t, sandbox.Users) {
		return
	}
	for _, mode := range []os.FileMode{0o600, 0o640, 0o660, 0o644, 0o664} {
		for _, gid := range []int{staff, bobOwn} { // the second is not mapped
			t.Run(fmt.Sprintf("%v of group %d", mode, gid), func(t *testing.T) {
				dir := sharedDir(t)
				path := filepath.Join(dir, "machines.json")
				must(t, user(root).does(t, path, "add", "a", "022"))
				must(t, os.Chown(path, bob, gid))
				mode |= 0o004 // it has to be read
				if gid == staff {
					mode |= 0o040
				}
				must(t, os.Chmod(path, mode))
				must(t, user(inAlices).does(t, path, "add", "b", "022"))
				info, err := os.Stat(path)
				must(t, err)
				want := mode
				if gid != staff {
					want &^= 0o030 // what everybody has not
				}
				if st := info.Sys().(*syscall.Stat_t); info.Mode() != want || st.Uid != alice || st.Gid != staff {
					t.Errorf("after a write the file is %v of %d:%d, want %v of %d:%d", info.Mode(), st.Uid, st.Gid, want, alice, staff)
				}
			})
		}
	}
}
