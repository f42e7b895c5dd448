package registry_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/machreg/machreg/registry"
)

// A value for which the file has no room fails its author alone.
func TestTooLargeFailsItsAuthorAlone(t *testing.T) {
	path := newPath(t)
	const limit = 16 << 10
	r := open(t, path, &registry.Options{MaxSize: limit})
	big := machineOf("big")
	big.TownPath = strings.Repeat("x", 2*limit)
	refused := func(what string, err error) {
		t.Helper()
		if !errors.Is(err, registry.ErrTooLarge) || !strings.Contains(fmt.Sprint(err), fmt.Sprintf("over the limit of %d bytes; raise MaxSize", limit)) {
			t.Errorf("%s = %v, want ErrTooLarge", what, err)
		}
	}
	for round := range 3 {
		free := occupy(t, r)
		var out []<-chan result
		for i := range 8 {
			m := machineOf(lineName(i + 10*round))
			if i == 3 {
				m = big
			}
			out = append(out, inBackground(func() (registry.Revision, error) {
				if i == 5 { // as a transaction
					tx := r.Begin()
					if err := errors.Join(tx.Put("half", machineOf("half")), tx.Put("big", big)); err != nil {
						return 0, err
					}
					return tx.Commit(t.Context())
				}
				return r.Add(t.Context(), m)
			}))
			awaitLine(r.Registry, i+1)
		}
		free()
		for i, out := range out {
			got := <-out
			if i == 3 || i == 5 {
				refused(fmt.Sprintf("oversized write %d", i), got.err)
			} else if got.err != nil {
				t.Errorf("write %d beside an oversized one: %v", i, got.err)
			}
		}
	}
	_, err := updateUnderLock(t, r, func(tx *tx) error { return tx.Put("big", big) })
	refused("oversized update under the lock", err)
	if _, err := r.Get("half"); !errors.Is(err, registry.ErrNotFound) {
		t.Errorf("Get of half a write = %v, want ErrNotFound", err)
	}
}

// Values of every size up to the limit: what is accepted is read again, and one
// byte more is refused. The revision takes part: it may get a digit more.
func TestSizeLimitIsExact(t *testing.T) {
	for _, revision := range []int{1, 9, 98} {
		path := newPath(t)
		const limit = 480
		writer := open(t, path, &registry.Options{MaxSize: limit, Refresh: registry.RefreshNever, Sync: registry.SyncNone})
		for i := range revision - 1 {
			if _, err := writer.Add(t.Context(), generation("g", i)); err != nil {
				t.Fatal(err)
			}
		}
		m := machineOf("m")
		for n := 0; ; n++ {
			m.TownPath = strings.Repeat("é\"", n/4) + strings.Repeat("x", n%4)
			before := string(readIfThere(path))
			_, err := writer.Add(t.Context(), m)
			if err != nil {
				if !errors.Is(err, registry.ErrTooLarge) || string(readIfThere(path)) != before {
					t.Fatalf("Add = %v, want ErrTooLarge and the file as it was", err)
				}
				// It tells the size that the file would have.
				room := open(t, path, &registry.Options{MaxSize: 2 * limit, Refresh: registry.RefreshNever, Sync: registry.SyncNone})
				if _, rerr := room.Add(t.Context(), m); rerr != nil {
					t.Fatal(rerr)
				}
				size := len(mustRead(t, path))
				if size <= limit || !strings.Contains(err.Error(), fmt.Sprintf("would have %d bytes", size)) {
					t.Errorf("refused with %v, the file has %d bytes", err, size)
				}
				if err := writer.Refresh(t.Context()); !errors.Is(err, registry.ErrTooLarge) {
					t.Errorf("Refresh of a file over the limit = %v, want ErrTooLarge", err)
				}
				break
			}
			reader, err := registry.OpenMachines(path, &registry.Options{MaxSize: limit, Refresh: registry.RefreshNever})
			if err != nil {
				t.Fatalf("what was written cannot be read: %v", err)
			}
			reader.Close()
			if _, err := writer.Remove(t.Context(), "m"); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// readIfThere is the file at path, or nothing if there is none.
func readIfThere(path string) []byte {
	data, _ := os.ReadFile(path)
	return data
}
