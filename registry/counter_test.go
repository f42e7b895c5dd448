package registry_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/machreg/machreg/registry"
)

// counter is a second value type: a number, and who counted last.
type counter struct {
	N    int    `json:"n"`
	Last string `json:"last"`
}

func counters() registry.Schema[counter] {
	return registry.Schema[counter]{
		Collection: "counters",
		Check: func(_ string, c *counter) error {
			if c.N < 0 {
				return errors.New("a counter does not go below zero")
			}
			return nil
		},
	}
}

// roleCount increments one counter COUNT times from each of GOROUTINES
// goroutines, and reports how often it was acknowledged.
var roleCount = program("count", func(args []string) error {
	path := args[0]
	goroutines, _ := strconv.Atoi(args[1])
	increments, _ := strconv.Atoi(args[2])
	r, err := registry.Open(path, counters(), nil)
	if err != nil {
		return err
	}
	fmt.Println("ready")
	if err := awaitParent(); err != nil {
		return err
	}
	var acked, runs atomic.Int64
	var wg sync.WaitGroup
	for g := range goroutines {
		wg.Go(func() {
			for range increments {
				_, err := r.Update(context.Background(), func(tx *registry.Tx[counter]) error {
					runs.Add(1)
					c, err := tx.Get("hits")
					if err != nil && !errors.Is(err, registry.ErrNotFound) {
						return err
					}
					return tx.Put("hits", counter{c.N + 1, fmt.Sprintf("%s/%d", args[3], g)})
				})
				if err != nil {
					fmt.Printf("error %v\n", err)
					return
				}
				acked.Add(1)
			}
		})
	}
	wg.Wait()
	fmt.Printf("acknowledged %d %d\n", acked.Load(), runs.Load())
	return r.Close()
})

func TestUpdateCountsExactly(t *testing.T) {
	const processes, goroutines = 2, 8
	increments := long(15)
	path := newPath(t)
	var children []*child
	for i := range processes {
		p := startChild(t, roleCount, path, strconv.Itoa(goroutines), strconv.Itoa(increments), strconv.Itoa(i))
		p.read("ready")
		children = append(children, p)
	}
	for _, p := range children {
		p.proceed()
	}
	total := 0
	for _, p := range children {
		var acked, runs int
		if _, err := fmt.Sscan(p.read("acknowledged"), &acked, &runs); err != nil {
			t.Fatal(err)
		}
		t.Logf("%d increments in %d runs of the function", acked, runs)
		total += acked
		p.wait()
	}
	if want := processes * goroutines * increments; total != want {
		t.Errorf("%d increments acknowledged, want %d", total, want)
	}
	r, err := registry.Open(path, counters(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if c, err := r.Get("hits"); err != nil || c.N != total || r.Revision() != registry.Revision(total) {
		t.Errorf("counter is %+v at revision %d, %v, want %d", c, r.Revision(), err, total)
	}
}
