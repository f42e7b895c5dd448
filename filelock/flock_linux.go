package filelock

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// flockHolder is a process that holds a flock.
type flockHolder struct {
	pid       int
	exclusive bool
}

// flockHolders returns the processes that hold a flock on the file at path, as
// far as this process's view of /proc shows them. If whole, there are no others.
func flockHolders(path string) (holders []flockHolder, whole bool) {
	if !ownNumbers() {
		return nil, false
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, false
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return nil, false
	}
	locks, whole, err := readLocks()
	if err != nil {
		return nil, false
	}
	dev := uint64(st.Dev)
	file := fmt.Sprintf("%02x:%02x:%d", unix.Major(dev), unix.Minor(dev), st.Ino)
	for line := range strings.Lines(locks) {
		// 1: FLOCK  ADVISORY  WRITE 4242 fe:00:9980629 0 EOF
		// A waiter's line has an arrow before FLOCK.
		f := strings.Fields(line)
		if len(f) < 6 || f[1] != "FLOCK" || f[5] != file {
			continue
		}
		if pid, err := strconv.Atoi(f[4]); err == nil && pid > 0 {
			holders = append(holders, flockHolder{pid, f[3] == "WRITE"})
		}
	}
	return holders, whole && self().space == initialSpace && numbersAlike[fileSystem(path)]
}

// readLocks returns /proc/locks. It is whole if one call read all of it: between
// two calls, a lock that is released can make the kernel leave out another one.
func readLocks() (locks string, whole bool, err error) {
	// A lock that is taken between the call that reads all and the one that finds
	// the end looks like more to read.
	const tries = 10
	for try := 0; try < tries && !whole && err == nil; try++ {
		locks, whole, err = readLocksOnce()
	}
	return locks, whole, err
}

func readLocksOnce() (locks string, whole bool, err error) {
	f, err := os.Open("/proc/locks")
	if err != nil {
		return "", false, err
	}
	defer f.Close()
	buf := make([]byte, 64<<10) // more than the kernel gives at once
	n, err := f.Read(buf)
	if err != nil && !errors.Is(err, io.EOF) {
		return "", false, err
	}
	rest, err := io.ReadAll(f)
	return string(buf[:n]) + string(rest), len(rest) == 0, err
}

// isRecorded reports whether the process with this PID here is the one that h
// describes, maybe with the PID that it has in a container.
func isRecorded(h Holder, pid int) bool {
	me := self()
	switch {
	case h.start != "" && h.start != startToken(pid):
		return false
	case h.samePIDs(&me):
		return h.PID == pid
	}
	return h.sameSystem(&me) && h.PID == innermostPID(pid)
}

// innermostPID returns the PID that a process has in its own name space, or 0.
func innermostPID(pid int) int {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(status)) {
		if numbers, ok := strings.CutPrefix(line, "NSpid:"); ok {
			numbers = strings.TrimSpace(numbers)
			n, _ := strconv.Atoi(numbers[strings.LastIndexAny(numbers, " \t")+1:])
			return n
		}
	}
	return 0
}

func processName(pid int) string {
	comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	if err != nil {
		return "unknown program"
	}
	return printable(strings.TrimSuffix(string(comm), "\n"))
}

// numbersAlike are the file systems of one host whose devices and inodes have the
// same numbers in /proc/locks as in stat. Not so btrfs and overlayfs.
var numbersAlike = map[uint32]bool{
	unix.EXT4_SUPER_MAGIC: true, // ext2 and ext3 too
	unix.XFS_SUPER_MAGIC:  true,
	unix.TMPFS_MAGIC:      true,
	unix.F2FS_SUPER_MAGIC: true,
}

// networks are the file systems that may have holders which this kernel does not
// know.
var networks = map[uint32]string{
	unix.NFS_SUPER_MAGIC:   "NFS",
	unix.SMB_SUPER_MAGIC:   "SMB",
	unix.SMB2_SUPER_MAGIC:  "SMB",
	unix.CIFS_SUPER_MAGIC:  "SMB",
	unix.AFS_SUPER_MAGIC:   "AFS",
	unix.CEPH_SUPER_MAGIC:  "Ceph",
	unix.CODA_SUPER_MAGIC:  "Coda",
	unix.V9FS_MAGIC:        "9p",
	unix.FUSE_SUPER_MAGIC:  "FUSE",
	unix.OCFS2_SUPER_MAGIC: "OCFS2",
	0x01161970:             "GFS2",
	0x0bd00bd0:             "Lustre",
}

// networkOf names the network file system that path is on; "" if it is on none.
func networkOf(path string) string { return networks[fileSystem(path)] }

// fileSystem returns the kind of file system that path is on, or 0.
func fileSystem(path string) uint32 {
	var st unix.Statfs_t
	for {
		err := unix.Statfs(path, &st)
		if err == nil {
			return uint32(st.Type)
		}
		if !errors.Is(err, unix.EINTR) {
			return 0
		}
	}
}
