package snapshot

import (
	"errors"
	"fmt"
)

// What the schema's code (Check, Clone, V's own methods) does to the goroutine
// that calls it must not be done to one that others rely on.

var errExited = errors.New("ended its goroutine")

// guard calls fn, which runs the schema's code, and returns an error if fn did
// not return. Unless c is careful, it cannot keep fn from ending the goroutine.
func (c *Codec[V]) guard(fn func()) (err error) {
	protected := func() {
		defer func() {
			if r := recover(); r != nil {
				err = fmt.Errorf("panic: %v", r)
			}
		}()
		fn()
	}
	if !c.careful {
		protected()
	} else if !apart(protected) {
		err = errExited
	}
	return err
}

// apart calls fn on a goroutine of its own and waits for it. It reports whether
// fn returned, or ended its goroutine. A panic goes on in the caller's.
func apart(fn func()) (returned bool) {
	var panicked any
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			if !returned {
				panicked = recover()
			}
		}()
		fn()
		returned = true
	}()
	<-done
	if panicked != nil {
		panic(panicked)
	}
	return returned
}
