package filelock

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

// The record is the first line of the .holder file:
//
//	held {"pid":…,"host":…,"program":…,"since":…,"start":…,"space":…,"boot":…} crc32c
//
// It is written in place, without truncating, syncing or renaming: it costs two
// small writes a hold, and what a longer record left behind the line does not
// matter. A reader that gets parts of two records sees it by the checksum. On
// release the first word is overwritten; a holder that dies leaves it.
const (
	recordHeld = "held "
	recordFree = "free "

	maxRecord  = 4096 // bytes read of a record
	maxProgram = 200  // bytes of a program's name that are recorded
	maxHost    = 255
	maxToken   = 64 // bytes of start, space and boot that are believed

	// tornReads bounds how often a reader looks again when it met a writer. The
	// window is a microsecond every hold.
	tornReads = 5
)

var crcTable = crc32.MakeTable(crc32.Castagnoli)

// errTorn means that the bytes are no record, whole or otherwise.
var errTorn = errors.New("holder record is damaged")

type recordJSON struct {
	PID     int    `json:"pid"`
	Host    string `json:"host"`
	Program string `json:"program"`
	Since   int64  `json:"since"` // nanoseconds since 1970
	Start   string `json:"start,omitempty"`
	Space   string `json:"space,omitempty"`
	Boot    string `json:"boot,omitempty"`
}

// self describes this process; Program and Since are for the caller to set.
var self = sync.OnceValue(func() Holder {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown host"
	}
	pid := os.Getpid()
	return Holder{
		PID:   pid,
		Host:  clip(host, maxHost),
		start: startToken(pid),
		space: spaceToken(),
		boot:  bootToken(),
	}
})

func clip(s string, limit int) string {
	s = strings.ToValidUTF8(s, "?")
	if len(s) <= limit {
		return s
	}
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return s[:limit]
}

func encodeRecord(h Holder) []byte {
	// Marshalling integers and strings cannot fail.
	body, _ := json.Marshal(recordJSON{h.PID, h.Host, h.Program, h.Since.UnixNano(), h.start, h.space, h.boot})
	return fmt.Appendf(nil, "%s%s %08x\n", recordHeld, body, crc32.Checksum(body, crcTable))
}

func parseRecord(data []byte) (Holder, error) {
	if len(data) == 0 {
		return Holder{}, ErrNoHolder
	}
	line, _, ended := strings.Cut(string(data), "\n")
	if !ended || len(line) < len(recordHeld) {
		return Holder{}, errTorn
	}
	word, rest := line[:len(recordHeld)], line[len(recordHeld):]
	if word == recordFree {
		return Holder{}, ErrNoHolder
	}
	sep := strings.LastIndexByte(rest, ' ')
	if word != recordHeld || sep < 0 {
		return Holder{}, errTorn
	}
	body, sum := rest[:sep], rest[sep+1:]
	if sum != fmt.Sprintf("%08x", crc32.Checksum([]byte(body), crcTable)) {
		return Holder{}, errTorn
	}
	var r recordJSON
	if err := json.Unmarshal([]byte(body), &r); err != nil {
		return Holder{}, errTorn
	}
	if r.PID <= 0 || len(r.Host) > maxHost || len(r.Program) > maxProgram ||
		len(r.Start) > maxToken || len(r.Space) > maxToken || len(r.Boot) > maxToken {
		return Holder{}, errTorn
	}
	return Holder{
		PID:     r.PID,
		Host:    r.Host,
		Program: r.Program,
		Since:   time.Unix(0, r.Since),
		start:   r.Start,
		space:   r.Space,
		boot:    r.Boot,
	}, nil
}

func readRecord(path string) (Holder, error) {
	for try := 1; ; try++ {
		h, err := readRecordOnce(path)
		if !errors.Is(err, errTorn) || try == tornReads {
			return h, err
		}
	}
}

func readRecordOnce(path string) (Holder, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|openFlags, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return Holder{}, ErrNoHolder
	}
	if err != nil {
		return Holder{}, explainOpen(path, err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return Holder{}, err
	}
	if err := checkRegular(path, info); err != nil {
		return Holder{}, err
	}
	data, err := io.ReadAll(io.LimitReader(f, maxRecord))
	if err != nil {
		return Holder{}, err
	}
	return parseRecord(data)
}

// writeRecord records the holder and keeps the file open to mark the release.
// Only an unsafe file is an error: not being able to leave a note is no reason
// not to work.
func (h *Held) writeRecord() error {
	path := h.lock.path + holderSuffix
	if followsLinks {
		if info, err := os.Lstat(path); err == nil {
			if err := checkRegular(path, info); err != nil {
				return err
			}
		}
	}
	f, err := os.OpenFile(path, os.O_WRONLY|openFlags, 0)
	if errors.Is(err, fs.ErrPermission) && removeCompanion(path) == nil {
		err = fs.ErrNotExist // the record of another user, who has not the lock
	}
	if errors.Is(err, fs.ErrNotExist) && h.lock.makeFile(path) == nil {
		f, err = os.OpenFile(path, os.O_WRONLY|openFlags, 0)
	}
	if err != nil {
		return unsafeOnly(path, err)
	}
	me := self()
	me.Program = clip(h.lock.program, maxProgram)
	me.Since = time.Now()
	if _, err := f.WriteAt(encodeRecord(me), 0); err != nil {
		f.Close()
		return unsafeOnly(path, err)
	}
	h.record = f
	return nil
}

// unsafeOnly returns the reason why path is unsafe, if it is the reason of err.
func unsafeOnly(path string, err error) error {
	if err = explainOpen(path, err); errors.Is(err, ErrUnsafe) {
		return err
	}
	return nil
}

// closeRecordLocked marks the record as free, as far as that can be done.
func (h *Held) closeRecordLocked() {
	if h.record == nil {
		return
	}
	_, _ = h.record.WriteAt([]byte(recordFree), 0)
	_ = h.record.Close()
	h.record = nil
}
