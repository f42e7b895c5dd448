package vfs

import "golang.org/x/sys/unix"

func (f osFile) StartSync() {
	// All of it, from 0 on; what is on its way already is left alone.
	_ = unix.SyncFileRange(int(f.Fd()), 0, 0, unix.SYNC_FILE_RANGE_WRITE)
}
