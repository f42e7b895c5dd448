package vfs

import (
	"encoding/binary"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/windows"
)

// Open shares the file for deletion as well, so that a reader never keeps a
// writer from replacing it.
func (osFS) Open(name string) (File, error) {
	h, err := open(name, windows.GENERIC_READ, windows.OPEN_EXISTING)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	return osFile{os.NewFile(uintptr(h), name)}, nil
}

// Create shares the file for deletion too: the pending file is renamed while
// it is open. It opens a link itself, so that one which leads nowhere exists.
func (osFS) Create(name string, perm fs.FileMode) (File, error) {
	h, err := openWith(name, windows.GENERIC_READ|windows.GENERIC_WRITE, windows.CREATE_NEW, windows.FILE_FLAG_OPEN_REPARSE_POINT)
	if err != nil {
		return nil, &fs.PathError{Op: "create", Path: name, Err: err}
	}
	return osFile{os.NewFile(uintptr(h), name)}, nil
}

func open(name string, access, disposition uint32) (windows.Handle, error) {
	return openWith(name, access, disposition, 0)
}

func openWith(name string, access, disposition, flags uint32) (windows.Handle, error) {
	p, err := windows.UTF16PtrFromString(name)
	if err != nil {
		return windows.InvalidHandle, err
	}
	const share = windows.FILE_SHARE_READ | windows.FILE_SHARE_WRITE | windows.FILE_SHARE_DELETE
	return windows.CreateFile(p, access, share, nil, disposition,
		windows.FILE_ATTRIBUTE_NORMAL|windows.FILE_FLAG_BACKUP_SEMANTICS|flags, 0)
}

// readLink returns where the link or junction at name leads, or "" if it is
// neither.
func readLink(name string) (string, error) {
	info, err := os.Lstat(name)
	if err != nil || info.Mode()&(fs.ModeSymlink|fs.ModeIrregular) == 0 {
		return "", err
	}
	to, err := os.Readlink(name)
	if err != nil && info.Mode()&fs.ModeSymlink == 0 {
		return "", nil // a reparse point that leads nowhere else
	}
	return to, err
}

// properName is name as the file system spells it: one file has one lock,
// whatever the case or the short names that it was reached by.
func properName(name string) string {
	if proper, err := filepath.EvalSymlinks(name); err == nil {
		return proper
	}
	return name
}

func (osFS) Stat(name string) (Info, error) { return stat(name, 0) }

// Lstat describes a link as a file that is not regular.
func (osFS) Lstat(name string) (Info, error) {
	return stat(name, windows.FILE_FLAG_OPEN_REPARSE_POINT)
}

func stat(name string, flags uint32) (Info, error) {
	h, err := openWith(name, windows.FILE_READ_ATTRIBUTES, windows.OPEN_EXISTING, flags)
	if err != nil {
		return Info{}, &fs.PathError{Op: "stat", Path: name, Err: err}
	}
	defer windows.CloseHandle(h)
	info, err := infoOf(h)
	if err != nil {
		return Info{}, &fs.PathError{Op: "stat", Path: name, Err: err}
	}
	return info, nil
}

// Rename replaces the target even while others have it open, as long as they
// share its deletion and the file system knows POSIX renames. A lack of permission
// has the same code as a file that is open, and is taken for it.
func (osFS) Rename(oldname, newname string) error {
	err := rename(oldname, newname)
	if err == nil {
		return nil
	}
	if err == windows.ERROR_SHARING_VIOLATION || err == windows.ERROR_ACCESS_DENIED && isReplaceable(newname) {
		err = fmt.Errorf("%w: %w", ErrInUse, err)
	}
	return &os.LinkError{Op: "rename", Old: oldname, New: newname, Err: err}
}

// isReplaceable reports whether nothing that name is keeps it from being
// replaced. To try to open it would keep others out.
func isReplaceable(name string) bool {
	info, err := stat(name, windows.FILE_FLAG_OPEN_REPARSE_POINT)
	return err != nil || info.Mode.IsRegular() && info.Mode&0o200 != 0
}

// rename takes the name away from the file that has it at once, as on Unix,
// where system and file system know how (NTFS since Windows 10 1709). A plain
// move waits for the last handle of the replaced file, which means that it
// fails while anybody reads.
func rename(oldname, newname string) error {
	from, err := windows.UTF16PtrFromString(oldname)
	if err != nil {
		return err
	}
	to, err := windows.UTF16FromString(newname)
	if err != nil {
		return err
	}
	switch err := renamePOSIX(from, to); err {
	case windows.ERROR_INVALID_PARAMETER, windows.ERROR_INVALID_FUNCTION, windows.ERROR_NOT_SUPPORTED,
		windows.ERROR_CALL_NOT_IMPLEMENTED, windows.ERROR_INVALID_LEVEL:
	default:
		return err
	}
	return windows.MoveFileEx(from, &to[0], windows.MOVEFILE_REPLACE_EXISTING|windows.MOVEFILE_WRITE_THROUGH)
}

func renamePOSIX(from *uint16, to []uint16) error {
	const share = windows.FILE_SHARE_READ | windows.FILE_SHARE_WRITE | windows.FILE_SHARE_DELETE
	h, err := windows.CreateFile(from, windows.DELETE, share, nil,
		windows.OPEN_EXISTING, windows.FILE_ATTRIBUTE_NORMAL, 0)
	if err != nil {
		return err
	}
	defer windows.CloseHandle(h)
	info := renameInfo(to)
	return windows.SetFileInformationByHandle(h, windows.FileRenameInfoEx, &info[0], uint32(len(info)))
}

// renameInfo lays out a FILE_RENAME_INFO: flags, a directory handle that is
// not used, the length of the name in bytes without its NUL, and the name.
func renameInfo(name []uint16) []byte {
	const flags = windows.FILE_RENAME_REPLACE_IF_EXISTS | windows.FILE_RENAME_POSIX_SEMANTICS
	const word = strconv.IntSize / 8 // what a handle takes, and aligns itself to
	info := binary.NativeEndian.AppendUint32(nil, flags)
	info = append(info, make([]byte, 2*word-len(info))...)
	info = binary.NativeEndian.AppendUint32(info, uint32(2*(len(name)-1)))
	for _, unit := range name {
		info = binary.NativeEndian.AppendUint16(info, unit)
	}
	return info
}

func (osFS) OpenDir(name string) (Dir, error) {
	h, err := open(name, windows.GENERIC_WRITE, windows.OPEN_EXISTING)
	if err == windows.ERROR_ACCESS_DENIED {
		return osDir{windows.InvalidHandle, name}, nil // there is nothing to flush it by
	}
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	return osDir{h, name}, nil
}

type osDir struct {
	h    windows.Handle
	name string
}

// Sync flushes the directory like a file. Where that is not to be had, the
// file system's own journal decides how soon a rename is on disk.
func (d osDir) Sync() error {
	if d.h == windows.InvalidHandle {
		return nil
	}
	switch err := windows.FlushFileBuffers(d.h); err {
	case nil, windows.ERROR_ACCESS_DENIED, windows.ERROR_INVALID_FUNCTION, windows.ERROR_NOT_SUPPORTED:
		return nil
	default:
		return &fs.PathError{Op: "sync", Path: d.name, Err: err}
	}
}

func (d osDir) Close() error {
	if d.h == windows.InvalidHandle {
		return nil
	}
	return windows.CloseHandle(d.h)
}

func (f osFile) Stat() (Info, error) {
	info, err := infoOf(windows.Handle(f.Fd()))
	if err != nil {
		return Info{}, &fs.PathError{Op: "stat", Path: f.Name(), Err: err}
	}
	return info, nil
}

// Chown does nothing: a file created in a directory inherits its owner.
func (f osFile) Chown(int, int) error { return nil }

// TryLock does nothing: a lock of this platform would keep readers out.
func (f osFile) TryLock() (bool, error) { return true, nil }

func (f osFile) Unlock() error { return nil }

func (f osFile) SetModTime(ns int64) error {
	t := windows.NsecToFiletime(ns)
	if err := windows.SetFileTime(windows.Handle(f.Fd()), nil, nil, &t); err != nil {
		return &fs.PathError{Op: "set times of", Path: f.Name(), Err: err}
	}
	return nil
}

func infoOf(h windows.Handle) (Info, error) {
	var d windows.ByHandleFileInformation
	if err := windows.GetFileInformationByHandle(h, &d); err != nil {
		return Info{}, err
	}
	mode := fs.FileMode(0o666)
	if d.FileAttributes&windows.FILE_ATTRIBUTE_READONLY != 0 {
		mode = 0o444
	}
	if d.FileAttributes&windows.FILE_ATTRIBUTE_DIRECTORY != 0 {
		mode |= fs.ModeDir | 0o111
	}
	if t, err := windows.GetFileType(h); err == nil && t != windows.FILE_TYPE_DISK {
		mode |= fs.ModeIrregular
	}
	if d.FileAttributes&windows.FILE_ATTRIBUTE_REPARSE_POINT != 0 {
		mode |= fs.ModeIrregular
	}
	return Info{
		Device:  uint64(d.VolumeSerialNumber),
		Inode:   uint64(d.FileIndexHigh)<<32 | uint64(d.FileIndexLow),
		Size:    int64(d.FileSizeHigh)<<32 | int64(d.FileSizeLow),
		ModTime: d.LastWriteTime.Nanoseconds(),
		Mode:    mode,
		Links:   uint64(d.NumberOfLinks),
		UID:     -1,
		GID:     -1,
	}, nil
}

// InodesRecycle is false: an NTFS file number carries a sequence number, and a
// descriptor kept open would stop programs that rename in the older way from
// replacing the file.
const InodesRecycle = false
