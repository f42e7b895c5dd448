package registry_test

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/machreg/machreg/registry"
)

type tx = registry.Tx[registry.Machine]

// outcome is how a function ended that may not have returned.
type outcome struct {
	returned bool
	err      error
	panicked any
}

// outcomeOf runs fn on a goroutine of its own.
func outcomeOf(fn func() error) <-chan outcome {
	out := make(chan outcome, 1)
	go func() {
		var o outcome
		defer func() { out <- o }()
		defer func() {
			if !o.returned {
				o.panicked = recover()
			}
		}()
		o.err = fn()
		o.returned = true
	}()
	return out
}

func TestUpdateFunctionEndsBadly(t *testing.T) {
	type update func(r *registry.MachineRegistry, fn func(*tx) error) error
	optimistic := func(r *registry.MachineRegistry, fn func(*tx) error) error {
		_, err := r.Update(t.Context(), fn)
		return err
	}
	locked := func(r *registry.MachineRegistry, fn func(*tx) error) error {
		_, err := updateUnderLock(t, r, fn)
		return err
	}
	refusal := errors.New("refused by the caller")
	type end struct {
		name string
		fn   func()
		want outcome
	}
	ends := []end{
		{"panic", func() { panic("caller's own") }, outcome{panicked: "caller's own"}},
		{"goexit", runtime.Goexit, outcome{}},
		{"error", nil, outcome{returned: true, err: refusal}},
	}
	for how, update := range map[string]update{"optimistic": optimistic, "under the lock": locked} {
		for _, end := range ends {
			t.Run(end.name+" "+how, func(t *testing.T) {
				path := newPath(t)
				r := open(t, path, nil)
				add(t, r, "before")
				// In company: what they write in the same group is not touched.
				free := occupy(t, r)
				const others = 8
				var wg sync.WaitGroup
				for i := range others {
					wg.Go(func() {
						if _, err := r.Add(t.Context(), machineOf(fmt.Sprintf("other-%d", i))); err != nil {
							t.Errorf("another writer: %v", err)
						}
					})
				}
				awaitLine(r.Registry, others)
				got := outcomeOf(func() error {
					return update(r, func(tx *tx) error {
						if err := tx.Put("half", machineOf("half")); err != nil {
							return err
						}
						if end.fn != nil {
							end.fn()
						}
						return refusal
					})
				})
				free()
				if o := <-got; o != end.want {
					t.Errorf("update ended with %+v, want %+v", o, end.want)
				}
				wg.Wait()
				add(t, r, "after")
				raw := mustParse(t, path)
				if _, ok := raw.Machines["half"]; ok {
					t.Error("the file holds what an update that failed had put")
				}
				for i := range others {
					if _, ok := raw.Machines[fmt.Sprintf("other-%d", i)]; !ok {
						t.Errorf("other-%d is not in the file", i)
					}
				}
			})
		}
	}
}

// touchy is a value whose copying can be made to panic.
type touchy struct {
	Words []string `json:"words"`
}

// A Clone that panics does so in the goroutine whose conflict copies the value,
// not in the one that commits for everybody.
func TestClonePanicReachesItsCaller(t *testing.T) {
	schema := registry.Schema[touchy]{
		Collection: "touchies",
		Clone: func(v touchy) touchy {
			if len(v.Words) == 1 {
				panic("do not touch")
			}
			return touchy{append([]string(nil), v.Words...)}
		},
	}
	r, err := registry.Open(newPath(t), schema, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := r.Put(t.Context(), "bad", touchy{[]string{"one"}}); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			if _, err := r.Put(t.Context(), fmt.Sprintf("good-%d", i), touchy{[]string{"one", "two"}}); err != nil {
				t.Error(err)
			}
		})
		wg.Go(func() {
			o := <-outcomeOf(func() error {
				_, err := r.Put(t.Context(), "bad", touchy{}, registry.IfAbsent())
				return err
			})
			if want := (outcome{panicked: "do not touch"}); o != want {
				t.Errorf("Put of an existing name IfAbsent ended with %+v, want %+v", o, want)
			}
		})
	}
	wg.Wait()
	if got, want := r.Revision(), registry.Revision(9); got != want {
		t.Errorf("registry is at revision %d, want %d", got, want)
	}
}

func TestUpdateMustNotCommitItself(t *testing.T) {
	for _, how := range []string{"optimistic", "under the lock"} {
		t.Run(how, func(t *testing.T) {
			r := open(t, newPath(t), nil)
			fn := func(tx *tx) error {
				if err := tx.Put("a", machineOf("a")); err != nil {
					return err
				}
				if _, err := tx.Commit(t.Context()); !errors.Is(err, registry.ErrInvalid) {
					t.Errorf("Commit inside Update = %v, want ErrInvalid", err)
				}
				return nil
			}
			var err error
			if how == "optimistic" {
				_, err = r.Update(t.Context(), fn)
			} else {
				_, err = updateUnderLock(t, r, fn)
			}
			if err != nil {
				t.Errorf("Update: %v", err)
			}
			if _, err := r.Get("a"); err != nil {
				t.Error(err)
			}
		})
	}
}

// A function that hangs under the lock costs others of its process the lock
// timeout, as it does those of other processes.
func TestHangingUpdateDoesNotHangOthers(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	r := open(t, path, &registry.Options{LockTimeout: 2 * time.Second})
	free := occupy(t, r)
	at := r.Revision()
	if _, err := r.Add(t.Context(), machineOf("late")); !errors.Is(err, registry.ErrLockTimeout) {
		t.Errorf("Add behind a write that does not end = %v, want ErrLockTimeout", err)
	}
	free()
	if rev := add(t, r, "next"); rev != at+2 {
		t.Errorf("next add is revision %d, want %d", rev, at+2)
	}
	if _, err := r.Get("late"); !errors.Is(err, registry.ErrNotFound) {
		t.Errorf("Get of what was not added = %v", err)
	}
}
