package registry_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/machreg/machreg/registry"
)

// Callers' code may do anything: in each function that a caller supplies, in
// each place where it runs, it panics, ends its goroutine, or does not return.
// Every other call, on the same handle and in another process, goes on and ends.

// deeds are what callers' code does instead of returning.
var deeds = []struct {
	name string
	do   func()
}{
	{"panics", func() { panic("caller's code") }},
	{"ends its goroutine", runtime.Goexit},
	{"blocks", func() { <-gate }},
}

// The functions that callers supply look here what to do. A process of its own
// is used for each case, so these are of the whole process.
var (
	armed   atomic.Pointer[string] // the name of the function that misbehaves
	deed    func()
	entered = make(chan struct{}) // closed when it does, for the first time
	enter   = sync.OnceFunc(func() { close(entered) })
	gate    = make(chan struct{}) // closed to let those go that block
	mending sync.WaitGroup        // of the file that an author has broken
)

func misbehave(function string) {
	if f := armed.Load(); f != nil && *f == function {
		enter()
		deed()
	}
}

// callersValue misbehaves in its methods if its text is bad. It holds a
// reference, so that it is cloned for whoever gets to see it.
type callersValue struct{ text *string }

func valued(text string) callersValue { return callersValue{&text} }

func (v callersValue) bad() bool { return v.text != nil && *v.text == bad }

const bad = "bad"

func (v callersValue) MarshalJSON() ([]byte, error) {
	if v.bad() {
		misbehave("MarshalJSON")
	}
	return json.Marshal([]*string{v.text})
}

func (v *callersValue) UnmarshalJSON(data []byte) error {
	var all []string
	if err := json.Unmarshal(data, &all); err != nil || len(all) != 1 {
		return fmt.Errorf("want one text: %w", err)
	}
	if *v = valued(all[0]); v.bad() {
		misbehave("UnmarshalJSON")
	}
	return nil
}

func callersSchema() registry.Schema[callersValue] {
	return registry.Schema[callersValue]{
		Collection: "values",
		Check: func(_ string, v *callersValue) error {
			if v.bad() {
				misbehave("Check")
			}
			return nil
		},
		Clone: func(v callersValue) callersValue {
			if v.bad() {
				misbehave("Clone")
			}
			return v
		},
	}
}

// callersLog misbehaves at every record.
type callersLog struct{ slog.Handler }

func (callersLog) Enabled(context.Context, slog.Level) bool { return true }
func (l callersLog) WithAttrs([]slog.Attr) slog.Handler     { return l }
func (l callersLog) WithGroup(string) slog.Handler          { return l }

func (callersLog) Handle(context.Context, slog.Record) error {
	misbehave("Logger")
	return nil
}

type callersRegistry = registry.Registry[callersValue]

// patience is how long a call may wait for what callers' code holds: a moment
// where it has to wait, and long where it has not, also on a busy machine.
func (c callersCase) patience(how string) time.Duration {
	if c.held && how == "blocks" {
		return time.Second
	}
	return forEver / 3
}

func openCallers(path string, patience time.Duration) (*callersRegistry, error) {
	return registry.Open(path, callersSchema(), &registry.Options{
		LockTimeout:  patience,
		PollInterval: 20 * time.Millisecond,
		Logger:       slog.New(callersLog{slog.DiscardHandler}),
	})
}

// callersCase is one place where callers' code runs.
type callersCase struct {
	name     string
	function string // which misbehaves
	// held: where the code blocks, calls that need what it holds may end with
	// their context, or with ErrLockTimeout. Elsewhere nothing else waits for it.
	held bool
	// prepare is done before, author in the goroutine of the call that is to
	// suffer.
	prepare func(r *callersRegistry, path string) error
	author  func(r *callersRegistry, path string) error
}

func putting(name, text string, conds ...registry.Condition) func(*callersRegistry, string) error {
	return func(r *callersRegistry, _ string) error {
		_, err := r.Put(context.Background(), name, valued(text), conds...)
		return err
	}
}

// byHand puts a value into the file, and has the handle look.
func byHand(value string) func(*callersRegistry, string) error {
	return func(r *callersRegistry, path string) error {
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		text := strings.Replace(string(data), `"values": {`, `"values": {"by hand": `+value+",", 1)
		err = os.WriteFile(path+".new", []byte(text), 0o644)
		if err = errors.Join(err, replaceBy(path+".new", path)); err != nil {
			return err
		}
		return r.Refresh(context.Background())
	}
}

var callersCases = []callersCase{
	{name: "Check of a value to write", function: "Check", author: putting("x", bad)},
	{name: "Check of a value in the file", function: "Check", held: true, author: byHand(`["bad"]`)},
	{name: "MarshalJSON", function: "MarshalJSON", author: putting("x", bad)},
	{name: "UnmarshalJSON of a value to write", function: "UnmarshalJSON", author: putting("x", bad)},
	{name: "UnmarshalJSON of a value in the file", function: "UnmarshalJSON", held: true, author: byHand(`["bad"]`)},
	{name: "Clone for a reader", function: "Clone", prepare: putting("x", bad), author: func(r *callersRegistry, _ string) error {
		_, err := r.Get("x")
		return err
	}},
	{name: "Clone for a conflict", function: "Clone", prepare: putting("x", bad), author: putting("x", "y", registry.IfAbsent())},
	{name: "Update", function: "Update", author: func(r *callersRegistry, _ string) error {
		_, err := r.Update(context.Background(), func(tx *registry.Tx[callersValue]) error {
			misbehave("Update")
			return nil
		})
		return err
	}},
	{name: "Update under the lock", function: "Update", held: true, author: func(r *callersRegistry, _ string) error {
		tries := 0
		_, err := r.Update(context.Background(), func(tx *registry.Tx[callersValue]) error {
			tx.Get("contended")
			if tries++; tries > 2 {
				misbehave("Update")
				return nil
			}
			if err := putting("contended", fmt.Sprint(tries))(r, ""); err != nil {
				return err
			}
			return tx.Put("x", valued("y"))
		})
		return err
	}},
	{name: "Logger of an entry that cannot be used", function: "Logger", author: byHand(`7`)},
	{name: "Logger of a file that cannot be used", function: "Logger",
		author: func(r *callersRegistry, path string) error {
			good, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			// On another goroutine: the deed may be this one's end.
			mending.Go(func() { <-entered; os.WriteFile(path, good, 0o644) })
			if err := os.WriteFile(path, []byte("{"), 0o644); err != nil {
				return err
			}
			return r.Refresh(context.Background())
		}},
	{name: "the body of a Watch", function: "Watch", author: func(r *callersRegistry, _ string) error {
		for range r.Watch(context.Background(), registry.WithInitial()) {
			misbehave("Watch")
			return nil
		}
		return nil
	}},
	{name: "the body of a loop over All", function: "All", author: func(r *callersRegistry, _ string) error {
		for range r.All() {
			misbehave("All")
		}
		return nil
	}},
}

// forEver is when a call is taken to wait for ever: many times what it may take.
const forEver = 30 * time.Second

// ends reports whether fn ends; a panic or Goexit is an end too.
func ends(fn func()) bool {
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() { _ = recover() }()
		fn()
	}()
	select {
	case <-done:
		return true
	case <-time.After(forEver):
		return false
	}
}

// others are the calls that go on: those that touch nothing but memory, and
// those that may need a lock.
var (
	othersInMemory = map[string]func(*callersRegistry) error{
		"Get":      func(r *callersRegistry) error { _, err := r.Get("other"); return err },
		"Snapshot": func(r *callersRegistry) error { r.Snapshot().Get("other"); return nil },
		"Stats":    func(r *callersRegistry) error { r.Stats(); return nil },
		"Health":   func(r *callersRegistry) error { r.Health(); return nil },
		"Watch": func(r *callersRegistry) error {
			ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
			defer cancel()
			for _, err := range r.Watch(ctx) {
				if err != nil && !errors.Is(err, context.DeadlineExceeded) {
					return err
				}
			}
			return nil
		},
	}
	others = map[string]func(context.Context, *callersRegistry) error{
		"Latest":  func(ctx context.Context, r *callersRegistry) error { _, err := r.Latest(ctx); return err },
		"AtLeast": func(ctx context.Context, r *callersRegistry) error { _, err := r.AtLeast(ctx, 1); return err },
		"Refresh": func(ctx context.Context, r *callersRegistry) error { return r.Refresh(ctx) },
		"Put": func(ctx context.Context, r *callersRegistry) error {
			_, err := r.Put(ctx, "put", valued(time.Now().String()))
			return err
		},
		"Remove": func(ctx context.Context, r *callersRegistry) error {
			_, err := r.Remove(ctx, "nothing")
			if errors.Is(err, registry.ErrNotFound) {
				return nil
			}
			return err
		},
		"Update": func(ctx context.Context, r *callersRegistry) error {
			_, err := r.Update(ctx, func(tx *registry.Tx[callersValue]) error {
				return tx.Put("updated", valued(time.Now().String()))
			})
			return err
		},
	}
)

// goOn makes all calls at once and returns what went wrong.
func goOn(r *callersRegistry, patience time.Duration, mayWait bool) (wrong []string) {
	var mu sync.Mutex
	var calls sync.WaitGroup
	call := func(name string, mayWait bool, fn func(ctx context.Context) error) {
		calls.Go(func() {
			err := errors.New("panicked, or ended its goroutine")
			if !ends(func() {
				ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
				defer cancel()
				err = fn(ctx)
			}) {
				err = fmt.Errorf("does not end in %v", forEver)
			}
			if mayWait && (errors.Is(err, context.DeadlineExceeded) || errors.Is(err, registry.ErrLockTimeout)) {
				return
			}
			if err != nil {
				mu.Lock()
				defer mu.Unlock()
				wrong = append(wrong, fmt.Sprintf("%s: %v", name, err))
			}
		})
	}
	for name, fn := range othersInMemory {
		call(name, false, func(context.Context) error { return fn(r) })
	}
	for name, fn := range others {
		call(name, mayWait, func(ctx context.Context) error { return fn(ctx, r) })
	}
	calls.Wait()
	slices.Sort(wrong)
	return wrong
}

// roleCallers is the process whose code misbehaves. It says "wrong …" for
// everything that is not as it should be, and "others" before, "last" after the
// other process has had its turn.
var roleCallers = program("callers", func(args []string) error {
	path, name, how := args[0], args[1], args[2]
	c := callersCases[slices.IndexFunc(callersCases, func(c callersCase) bool { return c.name == name })]
	deed = deeds[slices.IndexFunc(deeds, func(d struct {
		name string
		do   func()
	}) bool {
		return d.name == how
	})].do
	blocks := how == "blocks"

	patience := c.patience(how)
	r, err := openCallers(path, patience)
	if err != nil {
		return err
	}
	if err := putting("other", "fine")(r, path); err != nil {
		return err
	}
	if c.prepare != nil {
		if err := c.prepare(r, path); err != nil {
			return err
		}
	}
	armed.Store(&c.function)
	suffered := make(chan struct{})
	go func() {
		defer close(suffered)
		defer func() { _ = recover() }()
		c.author(r, path)
	}()
	say := func(format string, args ...any) { fmt.Printf(format+"\n", args...) }
	if !ends(func() { <-entered }) {
		return errors.New("the caller's code was not called")
	}
	mending.Wait()
	if !blocks && !ends(func() { <-suffered }) {
		say("wrong the call whose code misbehaved does not end")
	}
	for _, w := range goOn(r, patience, blocks && c.held) {
		say("wrong %s", w)
	}
	say("others")
	if err := awaitParent(); err != nil {
		return err
	}
	if blocks {
		// Let go: the handle is as good as any again.
		armed.Store(nil)
		close(gate)
		if !ends(func() { <-suffered }) {
			say("wrong the call whose code blocked does not end after that")
		}
		for _, w := range goOn(r, patience, false) {
			say("wrong afterwards: %s", w)
		}
	}
	say("follows")
	if err := awaitParent(); err != nil { // the other process has written "news"
		return err
	}
	if !ends(func() {
		for {
			if _, err := r.Get("news"); err == nil {
				return
			}
			time.Sleep(time.Millisecond)
		}
	}) {
		say("wrong the handle does not follow other processes any more")
	}
	if !ends(func() { err = r.Close() }) {
		say("wrong Close does not end")
	} else if err != nil {
		say("wrong Close: %v", err)
	}
	say("last")
	return nil
})

func TestCallersCode(t *testing.T) {
	t.Parallel()
	for _, c := range callersCases {
		for _, d := range deeds {
			t.Run(c.name+" "+d.name, func(t *testing.T) {
				t.Parallel()
				path := newPath(t)
				cmd := childCommand(t, roleCallers, path, c.name, d.name)
				var died strings.Builder
				cmd.Stderr = &died
				child := startCommand(t, cmd)
				until := func(word string) {
					for {
						line, alive := child.line()
						if !alive {
							child.cmd.Wait()
							t.Fatalf("the process died: %s", firstLines(died.String(), 12))
						}
						if line == word {
							return
						}
						t.Error(line)
					}
				}
				until("others")
				// This process has other code.
				patience := c.patience(d.name)
				r, err := openCallers(path, patience)
				if err != nil {
					t.Fatal(err)
				}
				for _, w := range goOn(r, patience, d.name == "blocks" && c.held) {
					t.Errorf("in another process: %s", w)
				}
				child.proceed()
				until("follows")
				if err := putting("news", "fine")(r, path); err != nil {
					t.Errorf("in another process, afterwards: %v", err)
				}
				if !ends(func() { err = r.Close() }) || err != nil {
					t.Errorf("in another process: Close: %v", err)
				}
				child.proceed()
				until("last")
				child.wait()
			})
		}
	}
}

// Close does not wait for callers' code that does not return.
func TestCallersCodeBlocksClose(t *testing.T) {
	t.Parallel()
	for _, c := range callersCases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			child := startChild(t, roleCallersClose, newPath(t), c.name)
			if line, _ := child.line(); line != "closed" {
				t.Errorf("%s blocks: %s", c.name, line)
			}
		})
	}
}

var roleCallersClose = program("callers close", func(args []string) error {
	c := callersCases[slices.IndexFunc(callersCases, func(c callersCase) bool { return c.name == args[1] })]
	deed = func() { <-gate }
	registry.ShortenCloseGrace()
	r, err := openCallers(args[0], time.Second)
	if err != nil {
		return err
	}
	if err := putting("other", "fine")(r, args[0]); err != nil {
		return err
	}
	if c.prepare != nil {
		if err := c.prepare(r, args[0]); err != nil {
			return err
		}
	}
	armed.Store(&c.function)
	go c.author(r, args[0])
	if !ends(func() { <-entered }) {
		return errors.New("the caller's code was not called")
	}
	if !ends(func() { r.Close() }) {
		fmt.Println("Close does not end")
		return nil
	}
	fmt.Println("closed")
	return nil
})

func firstLines(s string, n int) string {
	lines := strings.SplitN(s, "\n", n+1)
	return strings.Join(lines[:min(n, len(lines))], "\n")
}
