package errorfs

import (
	"errors"
	"io"
	"math"
	"sync/atomic"
	"syscall"
)

// ErrPowerLoss is what every operation reports after a [PowerLossAt].
var ErrPowerLoss = errors.New("power lost")

// Errors are the errors that a file system may report at any operation.
var Errors = []error{syscall.EIO, syscall.ENOSPC, syscall.EDQUOT, syscall.EACCES, syscall.EROFS, syscall.EINTR}

// Always is a [Plan.Times] for every matching operation from At on.
const Always = math.MaxInt

// Plan says which operations fail, and how.
type Plan struct {
	// At is the first matching operation that fails; the count begins at 0
	// with the call of Inject.
	At int
	// Times is how many matching operations in a row fail; 0 means 1.
	Times int
	// Match tells which operations are counted, and so may fail; nil means
	// all. It is called with a lock held: it must not use the file system.
	Match func(Op) bool
	Fault Fault
}

// Fault is a way to fail. Whatever the fault, a Close closes the file: the
// kernel has let go of the descriptor also when close reports an error.
type Fault struct {
	err error
	how how
}

type how uint8

const (
	before how = iota
	after
	short
)

// Fail makes an operation not happen and report err.
func Fail(err error) Fault { return Fault{err, before} }

// FailAfter makes an operation happen and then report err, as a rename over
// the network or an fsync may. A ReadAt or Write has then moved all its bytes
// and reports none.
func FailAfter(err error) Fault { return Fault{err, after} }

// Short makes a ReadAt or Write move half its bytes, report how many, and
// return err, such as ENOSPC for a disk that fills up. A nil err is what the os
// package makes of such a system call: io.EOF, as of a file that was cut, and
// io.ErrShortWrite. Only a ReadAt or Write of at least one byte matches it.
func Short(err error) Fault { return Fault{err, short} }

// PowerLossAt makes operation k and all that follow not happen and report
// ErrPowerLoss: what reached the file system below is what was asked of it
// before the power went.
func PowerLossAt(k int) Plan {
	return Plan{At: k, Times: Always, Fault: Fail(ErrPowerLoss)}
}

// shortErr is what a short operation returns.
func (f Fault) shortErr(k Kind) error {
	switch {
	case f.err != nil:
		return f.err
	case k == ReadAt:
		return io.EOF
	}
	return io.ErrShortWrite
}

// Injection is a plan at work.
type Injection struct {
	plan  Plan
	seen  int // guarded by FS.mu
	fired atomic.Int64
}

// Fired returns how many operations have failed by this plan. A test whose
// fault never fired has tested nothing.
func (i *Injection) Fired() int { return int(i.fired.Load()) }

// countLocked counts op if it matches and reports whether it is to fail.
func (i *Injection) countLocked(op Op) bool {
	if i.plan.Fault.how == short && (op.Kind != ReadAt && op.Kind != Write || op.Bytes == 0) {
		return false
	}
	if i.plan.Match != nil && !i.plan.Match(op) {
		return false
	}
	n := i.seen
	i.seen++
	return n >= i.plan.At && n-i.plan.At < max(i.plan.Times, 1)
}
