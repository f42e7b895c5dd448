package compare

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// verb is what a write does.
type verb byte

const (
	put    verb = 'p'
	remove verb = 'r'
)

// outcome is what came of a write.
type outcome byte

const (
	unknown      outcome = '?' // it was begun, and nothing says that it ended
	acknowledged outcome = 'a'
	absent       outcome = 'x' // a removal that found nothing to remove
	failed       outcome = 'f'
)

// event is one write of a key. A key's events are in the order in which its
// owner made them, one after the other.
type event struct {
	verb    verb
	number  uint64 // counted for each key; the file starts with number 0
	outcome outcome
	ended   int64 // on the shared clock; 0 if unknown
}

// journal is where a process notes its writes: a line before each and one
// after. Lines are written at once and need no flushing, so that they are there
// when the process is killed; they are not meant to survive the machine.
type journal struct{ file *os.File }

func journalPath(dir string, process int) string {
	return filepath.Join(dir, fmt.Sprintf("journal-%03d", process))
}

func openJournal(dir string, process int) (*journal, error) {
	f, err := os.OpenFile(journalPath(dir, process), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	return &journal{f}, nil
}

func (j *journal) begin(key int, v verb, number uint64) error {
	_, err := fmt.Fprintf(j.file, "b %d %c %d\n", key, v, number)
	return err
}

func (j *journal) end(key int, v verb, number uint64, o outcome, now int64) error {
	_, err := fmt.Fprintf(j.file, "e %d %c %d %c %d\n", key, v, number, o, now)
	return err
}

func (j *journal) close() error { return j.file.Close() }

// history is the events of every key.
type history map[int][]event

// readJournals reads the journals of the processes below n.
func readJournals(dir string, n int) (history, error) {
	h := make(history)
	for p := range n {
		if err := h.read(journalPath(dir, p)); err != nil {
			return nil, err
		}
	}
	return h, nil
}

// read adds one journal. A process that never started has none.
func (h history) read(path string) error {
	f, err := os.Open(path)
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		if err := h.add(lines.Text()); err != nil {
			return fmt.Errorf("journal %q, line %d: %q: %w", path, n, lines.Text(), err)
		}
	}
	return lines.Err()
}

func (h history) add(line string) error {
	var key int
	e := event{outcome: unknown}
	if line != "" && line[0] == 'b' {
		if _, err := fmt.Sscanf(line, "b %d %c %d", &key, &e.verb, &e.number); err != nil {
			return err
		}
		h[key] = append(h[key], e)
		return nil
	}
	if _, err := fmt.Sscanf(line, "e %d %c %d %c %d", &key, &e.verb, &e.number, &e.outcome, &e.ended); err != nil {
		return err
	}
	last := len(h[key]) - 1
	if last < 0 || h[key][last].number != e.number || h[key][last].verb != e.verb {
		return errors.New("it ends what was not begun")
	}
	h[key][last] = e
	return nil
}
