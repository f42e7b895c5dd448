package compare

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/machreg/machreg/filelock"
	"github.com/machreg/machreg/proptest/baseline"
	"github.com/machreg/machreg/registry"
)

// client is one goroutine of a worker. It reads everybody's machines and writes
// its own.
type client struct {
	worker   *worker
	random   *rand.Rand
	deadline int64
	names    []string
	own      []ownKey
	turn     int // of own

	tally    *tally
	reads    int
	sentAt   int64
	sampleAt int64
}

// ownKey is a machine that this client writes.
type ownKey struct {
	key     int
	next    uint64 // number of the next write
	present bool   // as far as the client knows
}

// sampleEvery is how often a client at most notes what it read of another
// process.
const sampleEvery = 5 * time.Millisecond

func newClient(w *worker, number int, deadline int64) *client {
	self := w.Process*w.Workload.Goroutines + number
	c := &client{
		worker:   w,
		random:   rand.New(rand.NewPCG(w.Seed, uint64(self))),
		deadline: deadline,
		tally:    &tally{},
		sentAt:   w.timer.now(),
	}
	for key := range w.Workload.Machines {
		c.names = append(c.names, keyName(key))
		if w.Workload.owner(key) == self {
			c.own = append(c.own, resume(key, w.past[key]))
		}
	}
	c.random.Shuffle(len(c.own), func(i, j int) { c.own[i], c.own[j] = c.own[j], c.own[i] })
	return c
}

// resume is where a killed predecessor left off. Of a write of unknown fate it
// is supposed that it happened.
func resume(key int, past []event) ownKey {
	k := ownKey{key: key, next: 1, present: true}
	for _, e := range past {
		k.next = e.number + 1
		if e.outcome != failed {
			k.present = e.verb == put
		}
	}
	return k
}

func (c *client) run(ctx context.Context) {
	every := c.worker.Workload.timedEvery()
	for {
		if c.random.Float64() >= c.worker.Workload.ReadRatio {
			if err := c.write(); err != nil {
				c.tally.fail(err)
				break
			}
		} else if c.reads++; c.reads%every == 0 {
			c.timedRead()
		} else {
			c.read()
			continue
		}
		now := c.worker.timer.now()
		if now >= c.deadline || ctx.Err() != nil {
			break
		}
		if now-c.sentAt >= int64(tallyEvery) {
			c.worker.tallies <- c.tally
			c.tally, c.sentAt = &tally{}, now
		}
	}
	c.worker.tallies <- c.tally
}

func (c *client) read() {
	if _, _, err := c.worker.handle.get(c.names[c.random.IntN(len(c.names))]); err != nil {
		c.tally.fail(err)
		return
	}
	c.tally.Reads++
}

func (c *client) timedRead() {
	key := c.random.IntN(len(c.names))
	begin := c.worker.timer.now()
	m, there, err := c.worker.handle.get(c.names[key])
	end := c.worker.timer.now()
	if err != nil {
		c.tally.fail(err)
		return
	}
	c.tally.Reads++
	c.tally.Read.Add(time.Duration(end - begin))
	if c.worker.Workload.process(key) == c.worker.Process || begin-c.sampleAt < int64(sampleEvery) {
		return
	}
	c.sampleAt = begin
	s := sample{Key: key, There: there, At: begin}
	if there {
		if s.Number, err = numberOf(c.names[key], m); err != nil {
			c.tally.Mixed++
			return
		}
	}
	c.tally.Samples = append(c.tally.Samples, s)
}

// write adds a machine that is not there, and updates or removes one that is.
// The error is that of the journal, without which going on is no use.
func (c *client) write() error {
	k := &c.own[c.turn%len(c.own)]
	c.turn++
	w, name, v := c.worker, c.names[k.key], put
	if k.present && c.random.IntN(2) == 0 {
		v = remove
	}
	number := k.next
	k.next++
	if err := w.journal.begin(k.key, v, number); err != nil {
		return err
	}
	begin := w.timer.now()
	var err error
	if v == put {
		err = w.handle.put(machineOf(name, number, begin))
	} else {
		err = w.handle.remove(name)
	}
	end := w.timer.now()
	what := c.judge(err)
	if what == acknowledged && end <= c.deadline {
		c.tally.Writes++
		c.tally.Write.Add(time.Duration(end - begin))
	}
	if what != failed {
		k.present = v == put
	}
	return w.journal.end(k.key, v, number, what, end)
}

func (c *client) judge(err error) outcome {
	switch {
	case err == nil:
		return acknowledged
	case errors.Is(err, registry.ErrNotFound), errors.Is(err, baseline.ErrNotFound):
		return absent
	case errors.Is(err, filelock.ErrTimeout):
		c.tally.Timeouts++
		return failed
	case errors.Is(err, registry.ErrNotDurable):
		c.tally.fail(err)
		return acknowledged
	case errors.Is(err, registry.ErrInDoubt):
		c.tally.fail(err)
		return unknown
	}
	c.tally.fail(err)
	return failed
}
