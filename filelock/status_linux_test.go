package filelock_test

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/machreg/machreg/filelock"
	"github.com/machreg/machreg/internal/sandbox"
)

func TestStatusNamesHolders(t *testing.T) {
	l := newLock(t, nil)
	first, second := startHolder(t, l.Path(), "shared"), startHolder(t, l.Path(), "shared")
	s := checkStatus(t, l, filelock.HeldShared, "(filelock.test) on ")
	var pids []int
	for _, h := range s.Holders {
		pids = append(pids, h.PID)
	}
	if !slices.Contains(pids, first.pid()) || !slices.Contains(pids, second.pid()) || len(pids) != 2 {
		t.Errorf("held by pids %d, want %d and %d", pids, first.pid(), second.pid())
	}
	second.stop()
	checkStatus(t, l, filelock.HeldShared, ", stopped")
	first.kill()
	second.kill()

	other := startChild(t, "flock", l.Path())
	other.read("locked")
	checkStatus(t, l, filelock.HeldExclusively, fmt.Sprintf("held exclusively by pid %d (filelock.test) on ", other.pid()))

	// A process that was started while another one held the lock holds it too, when
	// that has ended.
	other.kill()
	inherits := startChild(t, "inherit", l.Path())
	inherits.read("locked")
	if _, err := inherits.cmd.Process.Wait(); err != nil {
		t.Fatal(err)
	}
	checkStatus(t, l, filelock.HeldExclusively, fmt.Sprintf("held exclusively by pid %d (unknown program) on ", inherits.pid()))
	checkStatus(t, l, filelock.HeldExclusively, "a process that it started keeps the file open")
	inherits.proceed()
	eventually(t, "the process that was started to end", func() bool {
		return must[filelock.Status](t)(l.Status()).Hold == filelock.NotHeld
	})

}

// TestStatusDisturbsNothing: an attempt that does not wait is not refused because
// somebody asks at that moment.
func TestStatusDisturbsNothing(t *testing.T) {
	l := newLock(t, nil)
	mustUnlock(t, mustLock(t, l))
	var st unix.Statfs_t
	if err := unix.Statfs(l.Path(), &st); err != nil {
		t.Fatal(err)
	}
	space, err := os.Readlink("/proc/self/ns/pid")
	if local := st.Type == unix.EXT4_SUPER_MAGIC || st.Type == unix.TMPFS_MAGIC || st.Type == unix.XFS_SUPER_MAGIC; !local || space != "pid:[4026531836]" {
		t.Skipf("NOT TESTED: here the lock has to be tried (name space %q, %v; file system %#x)", space, err, st.Type)
	}
	stop, asked := make(chan struct{}), make(chan int)
	go func() {
		n := 0
		for ; ; n++ {
			select {
			case <-stop:
				asked <- n
				return
			default:
				if _, err := l.Status(); err != nil {
					t.Errorf("Status() = %v", err)
				}
			}
		}
	}()
	const attempts = 5_000
	refused := 0
	for range attempts {
		h, err := l.TryLock()
		if err != nil {
			refused++
			continue
		}
		mustUnlock(t, h)
	}
	close(stop)
	if n := <-asked; refused > 0 || n == 0 {
		t.Errorf("%d of %d attempts were refused while the status was asked for %d times", refused, attempts, n)
	}
}

// inContainer starts a program in a name space of its own, with or without its
// own /proc.
func inContainer(t *testing.T, proc, role string, args ...string) *child {
	t.Helper()
	cmd := exec.Command("/proc/self/exe", append([]string{proc, role}, args...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	return start(t, cmd, "contained")
}

// childContained is another role in a container.
func childContained(args []string) error {
	kind := map[string]string{"proc": "proc", "no proc": "tmpfs"}[args[0]]
	if kind != "" { // else the /proc of the other name space stays
		if err := syscall.Mount("none", "/proc", kind, 0, ""); err != nil {
			return fmt.Errorf("mount /proc: %w", err)
		}
	}
	return children[args[1]](args[2:])
}

// childStatus says what the status of PATH is.
func childStatus(args []string) error {
	s, err := filelock.New(args[0], nil).Status()
	fmt.Printf("status %v; %s; %v\n", s.Hold, s.String(), err)
	return nil
}

// childInherit locks PATH, and leaves a process that has it open.
func childInherit(args []string) error {
	f, err := os.OpenFile(args[0], os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		return err
	}
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), childRole+"=idle")
	cmd.ExtraFiles = []*os.File{f}
	cmd.Stdin = os.Stdin // ends with the test
	if err := cmd.Start(); err != nil {
		return err
	}
	fmt.Println("locked")
	return nil
}

func init() {
	children["contained"] = childContained
	children["status"] = childStatus
	children["inherit"] = childInherit
	children["idle"] = func([]string) error { return awaitParent() }
}

var procs = []string{"proc", "no proc", "proc of the outside"}

// TestStatusFromContainer asks about holders that a container cannot see.
func TestStatusFromContainer(t *testing.T) {
	if !sandbox.Enter(t, sandbox.Mounts) {
		return
	}
	l := newLock(t, nil)
	path := l.Path()
	mustUnlock(t, mustLock(t, l))
	for _, proc := range procs {
		check := func(want ...string) {
			t.Helper()
			asks := inContainer(t, proc, "status", path)
			got := asks.read("status")
			asks.wait()
			for _, w := range want {
				if !strings.Contains(got, w) {
					t.Errorf("with %s: status %q, want %q", proc, got, w)
				}
			}
		}
		check("not held; free: ")
		writer := startHolder(t, path, "exclusive")
		check("exclusive; held exclusively by pid ", "(child hold)")
		if proc != "no proc" {
			check("(child hold) outside this container on ")
		}
		writer.wait()
		reader := startHolder(t, path, "shared")
		check("shared; held shared by programs that cannot be seen from here")
		reader.wait()
		other := startChild(t, "flock", path)
		other.read("locked")
		check("exclusive; held exclusively by a program that cannot be seen from here; it left no record")
		other.wait()
	}
}

// TestHolderInContainer: its PID says nothing here.
func TestHolderInContainer(t *testing.T) {
	if !sandbox.Enter(t, sandbox.Mounts) {
		return
	}
	l := newLock(t, nil)
	for _, proc := range []string{"proc", "proc of the outside"} {
		holds := inContainer(t, proc, "hold", l.Path(), "exclusive", "10s")
		holds.read("acquiring")
		holds.read("held")
		const want = "pid 1 (child hold) in another container on "
		_, err := l.TryLock()
		if err == nil || !strings.Contains(err.Error(), "held by "+want) {
			t.Errorf("with %s: TryLock = %v, want %q", proc, err, want)
		}
		h, err := l.Holder()
		if err != nil || h.Alive != filelock.LivenessUnknown {
			t.Errorf("with %s: Holder() = %+v, %v, want one whose state is unknown", proc, h, err)
		}
		if proc == "proc" {
			s := checkStatus(t, l, filelock.HeldExclusively, "held exclusively by "+want)
			if !s.Recorded || s.Holders[0].Alive != filelock.Running {
				t.Errorf("with %s: Status() = %+v, want the recorded holder, running", proc, s)
			}
		}
		holds.wait()
	}
}

// TestHolderOfAnotherSystem: what tells containers apart says nothing about
// another kernel, which has the same initial name space.
func TestHolderOfAnotherSystem(t *testing.T) {
	host := must[string](t)(os.Hostname())
	boot := strings.TrimSpace(string(must[[]byte](t)(os.ReadFile("/proc/sys/kernel/random/boot_id"))))
	space := must[string](t)(os.Readlink("/proc/self/ns/pid"))
	const other = "pid:[4026532999]"
	l := newLock(t, nil)
	mustUnlock(t, mustLock(t, l))
	for _, tt := range []struct {
		name, host, space, boot string
		want                    string
		alive                   filelock.Liveness
	}{
		{"of another container", host, other, boot, "in another container on " + host, filelock.LivenessUnknown},
		{"of a container with a name of its own", "web-7f", other, boot, "in another container on web-7f", filelock.LivenessUnknown},
		{"by an older version, of another container", host, other, "", "in another container on " + host, filelock.LivenessUnknown},
		{"by an older version, of another host", "elsewhere", other, "", "(p) on elsewhere", filelock.LivenessUnknown},
		{"by another system, without a name space", host, "", "", "(p) on " + host, filelock.LivenessUnknown},
		{"of a host of the same name, or before a restart", host, space, "another boot", "(p) on " + host, filelock.LivenessUnknown},
		{"of here, before the host got another name", "elsewhere", space, boot, "(p) on elsewhere", filelock.Running},
		{"of here", host, space, boot, "(p) on " + host, filelock.Running},
	} {
		body := fmt.Sprintf(`{"pid":%d,"host":%q,"program":"p","since":1700000000000000000,"space":%q,"boot":%q}`, os.Getpid(), tt.host, tt.space, tt.boot)
		if err := os.WriteFile(l.Path()+filelock.HolderSuffix, recordOf("held", body), 0o644); err != nil {
			t.Fatal(err)
		}
		h := must[filelock.Holder](t)(l.Holder())
		if !strings.Contains(h.String(), tt.want) || h.Alive != tt.alive {
			t.Errorf("record %s: %q, %v, want %q, %v", tt.name, h.String(), h.Alive, tt.want, tt.alive)
		}
	}
}
