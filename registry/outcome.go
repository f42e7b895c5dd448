package registry

import "runtime"

// callerError is how a caller's function ended, if not well, on its way from
// the leader's goroutine to the caller's.
type callerError struct {
	err      error // what it returned
	returned bool
	panicked bool
	value    any // of the panic
}

func (e *callerError) Error() string {
	if e.returned {
		return e.err.Error()
	}
	return "function did not return"
}

// run calls fn on a goroutine of its own, so that neither a panic nor
// runtime.Goexit in it (t.FailNow, say) can end a goroutine that others rely
// on. The error is a *callerError.
func run(fn func() error) error {
	var end callerError
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			if end.returned {
				return
			}
			end.value = recover()
			end.panicked = end.value != nil
		}()
		end.err = fn()
		end.returned = true
	}()
	<-done
	if end.returned && end.err == nil {
		return nil
	}
	return &end
}

// brokeOff reports whether err stands for a function that did not return.
func brokeOff(err error) bool {
	end, ok := err.(*callerError)
	return ok && !end.returned
}

// deliver does to this goroutine what the function, which did not return, did
// to its own.
func (e *callerError) deliver() error {
	if e.panicked {
		panic(e.value)
	}
	runtime.Goexit()
	return nil
}
