package snapshot

import (
	"encoding/binary"
	"hash/crc32"
	"io"
	"strconv"
	"sync"
)

// The file, one entry a line and sorted by name, so that one changed entry is
// one changed line:
//
//	{
//	"version": 1,
//	"revision": 42,
//	"machines": {
//	"build-01": {"name":"build-01",…},
//	"local": {"name":"local",…}
//	},
//	"checksum": "crc32c:1a2b3c4d"
//	}
//
// The revision is in the first bytes, where one small read finds it. The
// file's unknown members stand between the collection and the checksum. The
// checksum covers every byte before its own line.
const (
	memberVersion  = "version"
	memberRevision = "revision"
	memberChecksum = "checksum"

	formatVersion = 1

	headBefore     = "{\n\"version\": 1,\n\"revision\": "
	collectionOpen = ": {\n"
	collectionEnd  = "},\n"
	entryEnd       = ",\n"
	checksumBefore = "\"checksum\": \"crc32c:"
	fileEnd        = "\"\n}\n"
	checksumDigits = 8
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// writeBlock is how much is handed to the file at once. It stays in the
// processor's cache, so that a large file is encoded, summed and written
// without going through memory for each.
const writeBlock = 256 << 10

// blocks are for encoders: fresh memory for each commit costs as much as
// filling it. One that a very long line made longer is as good.
var blocks = sync.Pool{New: func() any {
	b := make([]byte, 0, writeBlock)
	return &b
}}

// encoder writes in blocks and sums what it writes.
type encoder struct {
	w   io.Writer
	buf []byte
	sum uint32
	err error
}

func (e *encoder) add(s string) {
	if len(e.buf)+len(s) > writeBlock {
		e.flush()
	}
	e.buf = append(e.buf, s...)
}

func (e *encoder) flush() {
	if e.err != nil {
		return
	}
	e.sum = crc32.Update(e.sum, castagnoli, e.buf)
	_, e.err = e.w.Write(e.buf)
	e.buf = e.buf[:0]
}

// Encode writes s as a file's content. Unchanged entries are written from
// their kept bytes. A small file is one Write.
func (s *Snapshot[V]) Encode(w io.Writer) error {
	_, err := s.encode(w)
	return err
}

// encode also returns the checksum.
func (s *Snapshot[V]) encode(w io.Writer) (sum uint32, err error) {
	e := encoder{w: w, buf: *blocks.Get().(*[]byte)}
	defer func() { blocks.Put(&e.buf) }()
	e.add(headBefore)
	e.add(strconv.FormatUint(uint64(s.revision), 10))
	e.add(entryEnd)
	e.add(quoted(s.codec.schema.Collection))
	e.add(collectionOpen)
	for i, entry := range s.sorted {
		if i > 0 {
			e.add(entryEnd)
		}
		e.add(entry.line)
	}
	if len(s.sorted) > 0 {
		e.add("\n")
	}
	e.add(collectionEnd)
	if s.members != "" {
		e.add(s.members)
		e.add(entryEnd)
	}
	// The sum covers all so far. Summing what is still in the buffer here, not
	// at its flush, keeps a small file one write.
	e.sum = crc32.Update(e.sum, castagnoli, e.buf)
	tail := append([]byte(checksumBefore), formatSum(e.sum)...)
	e.buf = append(append(e.buf, tail...), fileEnd...)
	if e.err == nil {
		_, e.err = w.Write(e.buf)
	}
	e.buf = e.buf[:0]
	return e.sum, e.err
}

// sizeOf is how many bytes Encode writes for a revision of so many entries,
// whose lines have so many bytes of text in all.
func (c *Codec[V]) sizeOf(r Revision, entries int, text int64, members string) int64 {
	var digits [20]byte
	n := len(headBefore) + len(strconv.AppendUint(digits[:0], uint64(r), 10)) + len(entryEnd) +
		len(quoted(c.schema.Collection)) + len(collectionOpen) + len(collectionEnd) +
		len(checksumBefore) + checksumDigits + len(fileEnd)
	if entries > 0 {
		n += (entries-1)*len(entryEnd) + len("\n")
	}
	if members != "" {
		n += len(members) + len(entryEnd)
	}
	return int64(n) + text
}

func formatSum(sum uint32) string {
	const digits = "0123456789abcdef"
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], sum)
	out := make([]byte, 0, checksumDigits)
	for _, x := range b {
		out = append(out, digits[x>>4], digits[x&15])
	}
	return string(out)
}
