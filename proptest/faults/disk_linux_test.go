package faults_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// disk is a disk that remembers what it was told to flush. It is one file in a
// FUSE file system of its own, to be put under a loop device: writes arrive as
// they leave the kernel's block layer, and a flush as an fsync.
//
// At a power cut, what was written before the last flush is there; of every
// sector written since, any of its versions since then may be.
type disk struct {
	dir  string
	size int64
	fd   int // /dev/fuse

	mu      sync.Mutex
	sectors map[int64][]byte // as it was at the last flush; absent: zeros
	cache   []cached         // since then, in order
	flushes int
	stopped chan struct{}
}

type cached struct {
	sector int64
	data   []byte
}

// sectorSize is what a disk writes as a whole or not at all.
const sectorSize = 512

// FUSE's numbers, as of its protocol 7.31.
const (
	fuseLookup, fuseForget, fuseGetattr, fuseSetattr                  = 1, 2, 3, 4
	fuseOpen, fuseRead, fuseWrite, fuseStatfs, fuseRelease            = 14, 15, 16, 17, 18
	fuseFsync, fuseFlush, fuseInit, fuseInterrupt, fuseDestroy        = 20, 25, 26, 36, 38
	fuseBatchForget, fuseFallocate                                    = 42, 43
	fuseHeader, fuseReplyHeader, fuseMaxWrite                         = 40, 16, 128 << 10
	fuseImage                                                  uint64 = 2 // the node that is the disk; 1 is the root
)

// newDisk mounts a disk of size bytes in dir; its image is dir/image.
func newDisk(dir string, size int64) (*disk, error) {
	fd, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	options := fmt.Sprintf("fd=%d,rootmode=40000,user_id=0,group_id=0", fd)
	if err := unix.Mount("machreg-disk", dir, "fuse", unix.MS_NOSUID|unix.MS_NODEV, options); err != nil {
		return nil, errors.Join(&os.PathError{Op: "mount", Path: dir, Err: err}, unix.Close(fd))
	}
	d := &disk{dir: dir, size: size, fd: fd, sectors: make(map[int64][]byte), stopped: make(chan struct{})}
	go d.serve()
	return d, nil
}

func (d *disk) image() string { return filepath.Join(d.dir, "image") }

// unmount takes the disk away; nobody may be using it.
func (d *disk) unmount() error {
	err := unix.Unmount(d.dir, 0)
	if err != nil {
		err = errors.Join(err, unix.Unmount(d.dir, unix.MNT_DETACH))
	}
	<-d.stopped
	return err
}

// serve answers the kernel until the disk is unmounted. One request at a time:
// the order in which they are taken is the order of the disk.
func (d *disk) serve() {
	defer close(d.stopped)
	defer unix.Close(d.fd)
	buf := make([]byte, fuseMaxWrite+4096)
	for {
		n, err := unix.Read(d.fd, buf)
		if err == unix.EINTR || err == unix.EAGAIN || err == unix.ENOENT {
			continue
		}
		if err != nil || n < fuseHeader {
			return // ENODEV: unmounted
		}
		op, unique := binary.NativeEndian.Uint32(buf[4:]), binary.NativeEndian.Uint64(buf[8:])
		node := binary.NativeEndian.Uint64(buf[16:])
		if op == fuseForget || op == fuseBatchForget || op == fuseInterrupt {
			continue // not answered
		}
		out, errno := d.answer(op, node, buf[fuseHeader:n])
		reply := make([]byte, fuseReplyHeader, fuseReplyHeader+len(out))
		binary.NativeEndian.PutUint32(reply, uint32(fuseReplyHeader+len(out)))
		binary.NativeEndian.PutUint32(reply[4:], uint32(-int32(errno)))
		binary.NativeEndian.PutUint64(reply[8:], unique)
		unix.Write(d.fd, append(reply, out...))
		if op == fuseDestroy {
			return
		}
	}
}

func (d *disk) answer(op uint32, node uint64, in []byte) (out []byte, errno syscall.Errno) {
	u64 := func(v uint64) { out = binary.NativeEndian.AppendUint64(out, v) }
	u32 := func(v ...uint32) {
		for _, v := range v {
			out = binary.NativeEndian.AppendUint32(out, v)
		}
	}
	attr := func(node uint64) {
		size, mode := uint64(0), uint32(unix.S_IFDIR|0o700)
		if node == fuseImage {
			size, mode = uint64(d.size), unix.S_IFREG|0o600
		}
		u64(node)
		u64(size)
		u64(size / sectorSize)
		for range 3 {
			u64(0) // times
		}
		u32(0, 0, 0, mode, 1, 0, 0, 0, 4096, 0)
	}
	switch op {
	case fuseInit:
		u32(7, 31)
		u32(128<<10, 0)              // read ahead; no features
		u32(16|12<<16, fuseMaxWrite) // background requests; write size
		u32(1)                       // time granularity
		u32(fuseMaxWrite / 4096)
		for range 8 {
			u32(0)
		}
	case fuseLookup:
		if string(in[:len(in)-1]) != "image" {
			return nil, syscall.ENOENT
		}
		u64(fuseImage)
		u64(0)
		u64(3600) // how long the name is valid, and the attributes
		u64(3600)
		u32(0, 0)
		attr(fuseImage)
	case fuseGetattr, fuseSetattr:
		u64(3600)
		u32(0, 0)
		attr(node)
	case fuseOpen:
		u64(0)
		u32(1, 0) // past the page cache
	case fuseRead:
		offset, size := binary.NativeEndian.Uint64(in[8:]), binary.NativeEndian.Uint32(in[16:])
		return d.read(int64(offset), int(size)), 0
	case fuseWrite:
		offset, size := binary.NativeEndian.Uint64(in[8:]), binary.NativeEndian.Uint32(in[16:])
		d.write(int64(offset), in[40:40+size])
		u32(size, 0)
	case fuseFsync:
		d.flush()
	case fuseStatfs:
		out = make([]byte, 80)
	case fuseFlush, fuseRelease, fuseDestroy:
	default:
		return nil, syscall.ENOSYS // among them fallocate: nothing is discarded
	}
	return out, 0
}

// read returns what was written last, flushed or not.
func (d *disk) read(offset int64, size int) []byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	size = int(max(min(int64(size), d.size-offset), 0))
	out := make([]byte, size)
	for at := 0; at < size; at += sectorSize {
		copy(out[at:], d.sectors[(offset+int64(at))/sectorSize])
	}
	for _, c := range d.cache {
		if at := c.sector*sectorSize - offset; at >= 0 && at < int64(size) {
			copy(out[at:], c.data)
		}
	}
	return out
}

func (d *disk) write(offset int64, data []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for at := 0; at < len(data); at += sectorSize {
		c := cached{(offset + int64(at)) / sectorSize, append([]byte(nil), data[at:min(at+sectorSize, len(data))]...)}
		d.cache = append(d.cache, c)
	}
}

func (d *disk) flush() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, c := range d.cache {
		keep(d.sectors, c)
	}
	d.cache = nil
	d.flushes++
}

func keep(sectors map[int64][]byte, c cached) {
	if bytes.Equal(c.data, zeros[:len(c.data)]) {
		delete(sectors, c.sector)
	} else {
		sectors[c.sector] = c.data
	}
}

var zeros [sectorSize]byte

// cut writes to path what the disk may be found to hold if the power goes now.
func (d *disk) cut(path string, rng *rand.Rand) error {
	d.mu.Lock()
	kept := make(map[int64][]byte, len(d.sectors))
	for sector, data := range d.sectors {
		kept[sector] = data
	}
	cache := d.cache
	d.mu.Unlock()
	// All, none, those before some moment, or any.
	p, before := min(max(rng.Float64()*2-0.5, 0), 1), len(cache)
	if rng.IntN(2) == 0 {
		p, before = 1, rng.IntN(len(cache)+1)
	}
	for _, c := range cache[:before] {
		if rng.Float64() < p {
			keep(kept, c)
		}
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	err = f.Truncate(d.size)
	for sector, data := range kept {
		if _, werr := f.WriteAt(data, sector*sectorSize); werr != nil && err == nil {
			err = werr
		}
	}
	return errors.Join(err, f.Close())
}
