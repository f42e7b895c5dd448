//go:build unix

package vfs

import (
	"bytes"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// HandOver makes f, a file or an empty directory that this process has just
// made, one of those who may write in the directory dir: it gets the group and
// the permission bits of dir and, if root made it, the owner. In a sticky
// directory, where users cannot replace each other's files, others may not write
// it; a directory that everybody can write becomes sticky. A group that cannot be
// given gets the rights that everybody has. What the system refuses stays as it
// is: that only keeps users out.
func HandOver(f *os.File, dir Info) {
	have, err := osFile{f}.Stat()
	if err != nil {
		return
	}
	switch {
	case BelongsTo(have, dir):
		// A user may have put another of root's directories in the place.
		if have.Mode.IsDir() && !isEmpty(f) {
			return
		}
		_ = f.Chown(dir.UID, dir.GID)
	case have.GID != dir.GID:
		_ = f.Chown(-1, dir.GID)
	}
	if have, err = (osFile{f}).Stat(); err != nil {
		return
	}
	mode := dir.Mode.Perm()
	if dir.Mode&fs.ModeSticky != 0 {
		mode &^= 0o022
	}
	if have.GID != dir.GID {
		mode = WithoutGroup(mode)
	}
	if have.Mode.IsDir() {
		mode |= 0o700 | dir.Mode&fs.ModeSetgid
		if mode&0o002 != 0 {
			mode |= fs.ModeSticky
		}
	} else {
		mode = mode&0o666 | 0o600
	}
	if have.Mode&(fs.ModePerm|fs.ModeSetgid|fs.ModeSticky) != mode {
		_ = f.Chmod(mode)
	}
}

// BelongsTo reports whether a new file in directory dir was made by root in the
// directory of another user, who is to have it.
func BelongsTo(made, dir Info) bool {
	return made.UID == 0 && dir.UID != 0 && os.Geteuid() == 0 && isMapped(dir.UID)
}

// GiveToOwner gives a directory that root has just made to the owner of the one
// that it is in.
func GiveToOwner(f FS, name string) {
	made, err := f.Lstat(name)
	dir, derr := f.Stat(filepath.Dir(name))
	if err != nil || derr != nil || !BelongsTo(made, dir) {
		return
	}
	if d, err := OpenMade(name); err == nil {
		if isEmpty(d) {
			_ = d.Chown(dir.UID, dir.GID)
		}
		d.Close()
	}
}

// WithoutGroup is the permissions mode for a file whose group is another one: it
// may do what everybody may.
func WithoutGroup(mode fs.FileMode) fs.FileMode { return mode&^0o070 | mode&0o007<<3&mode }

// overflowID stands for every id that a user namespace does not map.
const overflowID = 65534

// isMapped reports whether uid is a user, and not the name for all those that
// this user namespace does not know.
func isMapped(uid int) bool {
	if uid != overflowID {
		return true
	}
	// The initial namespace maps every id to itself. Other systems have no such file.
	all, err := os.ReadFile("/proc/self/uid_map")
	return err != nil || bytes.Equal(bytes.Join(bytes.Fields(all), []byte(" ")), []byte("0 0 4294967295"))
}

// isEmpty reports whether an open directory has no entries.
func isEmpty(dir *os.File) bool {
	_, err := dir.Readdirnames(1)
	return err == io.EOF
}

// OpenMade opens a directory that this process has just made, and no link that
// was put in its place.
func OpenMade(name string) (*os.File, error) {
	return os.OpenFile(name, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_DIRECTORY, 0)
}
