package registry

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// logQueue is where the records of a handle wait for its Options.Logger. The
// logger is the caller's code: it may block, panic, or end its goroutine. A
// goroutine that exists while records wait calls it, and so none of that
// reaches the goroutine that had something to say, nor those that wait for a
// mutex it holds.
type logQueue struct {
	handler slog.Handler

	mu      sync.Mutex
	waiting []queuedRecord // guarded by mu; at most logLimit
	dropped int            // guarded by mu: records for which there was no room
	idle    chan struct{}  // guarded by mu: closed when the writing goroutine ends; nil without one
}

const (
	logLimit = 256
	// logDrain is how long Close waits for the logger.
	logDrain = time.Second
)

// queuedRecord is a record and what a [slog.Logger] has added to its handler.
type queuedRecord struct {
	ctx    context.Context
	record slog.Record
	adapt  []func(slog.Handler) slog.Handler
}

// queueLogs puts a queue before the logger of o. A silent one needs none.
func queueLogs(o *Options) *logQueue {
	handler := o.Logger.Handler()
	if handler == slog.DiscardHandler {
		return nil
	}
	q := &logQueue{handler: handler}
	o.Logger = slog.New(&queueHandler{queue: q})
	return q
}

// queueHandler is the [slog.Handler] before the queue. It calls none of the
// caller's handler's methods: those, too, may do anything.
type queueHandler struct {
	queue *logQueue
	adapt []func(slog.Handler) slog.Handler
}

func (h *queueHandler) Enabled(context.Context, slog.Level) bool { return true }

func (h *queueHandler) Handle(ctx context.Context, r slog.Record) error {
	h.queue.add(queuedRecord{context.WithoutCancel(ctx), r.Clone(), h.adapt})
	return nil
}

func (h *queueHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return h.with(func(to slog.Handler) slog.Handler { return to.WithAttrs(attrs) })
}

func (h *queueHandler) WithGroup(name string) slog.Handler {
	return h.with(func(to slog.Handler) slog.Handler { return to.WithGroup(name) })
}

func (h *queueHandler) with(adapt func(slog.Handler) slog.Handler) slog.Handler {
	return &queueHandler{h.queue, append(h.adapt[:len(h.adapt):len(h.adapt)], adapt)}
}

func (q *logQueue) add(r queuedRecord) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) == logLimit {
		q.dropped++
		return
	}
	q.waiting = append(q.waiting, r)
	if q.idle == nil {
		q.idle = make(chan struct{})
		go q.write()
	}
}

// write hands the records to the logger until there are none left. If the
// logger ends the goroutine, or panics, another one goes on with the next.
func (q *logQueue) write() {
	done := false
	defer func() {
		if !done {
			recover()
			go q.write()
		}
	}()
	for {
		r, ok := q.next()
		if !ok {
			done = true
			return
		}
		to := q.handler
		for _, adapt := range r.adapt {
			to = adapt(to)
		}
		if to.Enabled(r.ctx, r.record.Level) {
			to.Handle(r.ctx, r.record)
		}
	}
}

// next takes the record that has waited longest. Those that were dropped came
// after all that wait.
func (q *logQueue) next() (r queuedRecord, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case len(q.waiting) > 0:
		r, q.waiting = q.waiting[0], q.waiting[1:]
	case q.dropped > 0:
		r.ctx = context.Background()
		r.record = slog.NewRecord(time.Now(), slog.LevelWarn, "records were dropped because the logger was too slow", 0)
		r.record.Add("count", q.dropped)
		q.dropped = 0
	default:
		close(q.idle)
		q.idle = nil
		return r, false
	}
	return r, true
}

// drain waits until the logger has been handed every record, for a moment.
func (q *logQueue) drain() {
	if q == nil {
		return
	}
	q.mu.Lock()
	idle := q.idle
	q.mu.Unlock()
	if idle == nil {
		return
	}
	select {
	case <-idle:
	case <-time.After(logDrain):
	}
}
