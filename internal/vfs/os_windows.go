package vfs

import (
	"io/fs"
	"os"
	"time"

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
// it is open.
func (osFS) Create(name string, perm fs.FileMode) (File, error) {
	h, err := open(name, windows.GENERIC_READ|windows.GENERIC_WRITE, windows.CREATE_NEW)
	if err != nil {
		return nil, &fs.PathError{Op: "create", Path: name, Err: err}
	}
	return osFile{os.NewFile(uintptr(h), name)}, nil
}

func open(name string, access, disposition uint32) (windows.Handle, error) {
	p, err := windows.UTF16PtrFromString(name)
	if err != nil {
		return windows.InvalidHandle, err
	}
	const share = windows.FILE_SHARE_READ | windows.FILE_SHARE_WRITE | windows.FILE_SHARE_DELETE
	return windows.CreateFile(p, access, share, nil, disposition,
		windows.FILE_ATTRIBUTE_NORMAL|windows.FILE_FLAG_BACKUP_SEMANTICS, 0)
}

func (osFS) Stat(name string) (Info, error) {
	h, err := open(name, windows.FILE_READ_ATTRIBUTES, windows.OPEN_EXISTING)
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

// Rename asks for write-through: the move is on disk when it returns, which is
// what SyncDir gives elsewhere. A reader that opened the target without
// sharing deletion (a virus scanner, an editor) makes it fail for a moment, so
// it is tried again for up to a second.
func (osFS) Rename(oldname, newname string) error {
	from, err := windows.UTF16PtrFromString(oldname)
	if err != nil {
		return &os.LinkError{Op: "rename", Old: oldname, New: newname, Err: err}
	}
	to, err := windows.UTF16PtrFromString(newname)
	if err != nil {
		return &os.LinkError{Op: "rename", Old: oldname, New: newname, Err: err}
	}
	const flags = windows.MOVEFILE_REPLACE_EXISTING | windows.MOVEFILE_WRITE_THROUGH
	for wait := time.Millisecond; ; wait *= 2 {
		err = windows.MoveFileEx(from, to, flags)
		busy := err == windows.ERROR_SHARING_VIOLATION || err == windows.ERROR_ACCESS_DENIED
		if err == nil || !busy || wait > 512*time.Millisecond {
			break
		}
		time.Sleep(wait)
	}
	if err != nil {
		return &os.LinkError{Op: "rename", Old: oldname, New: newname, Err: err}
	}
	return nil
}

// SyncDir has nothing to do: Rename wrote through.
func (osFS) SyncDir(string) error { return nil }

func (f osFile) Stat() (Info, error) {
	info, err := infoOf(windows.Handle(f.Fd()))
	if err != nil {
		return Info{}, &fs.PathError{Op: "stat", Path: f.Name(), Err: err}
	}
	return info, nil
}

// Chown does nothing: a file created in a directory inherits its owner.
func (f osFile) Chown(int, int) error { return nil }

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

// InodesRecycle is false: an NTFS file number carries a sequence number, and
// a descriptor kept open would stop writers from replacing the file.
const InodesRecycle = false
