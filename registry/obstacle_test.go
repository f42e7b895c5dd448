package registry_test

import (
	"errors"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/machreg/machreg/internal/vfs"
	"github.com/machreg/machreg/internal/vfs/errorfs"
	"github.com/machreg/machreg/registry"
)

// knownFailure is a cause by which the system refuses a write, and what the error
// says about it.
type knownFailure struct {
	cause       error
	check, says string
}

// Wherever in a write a known cause strikes, the error says what to do, keeps the
// cause, and Health remembers it until a write succeeds.
func TestErrorsSayWhatToDo(t *testing.T) {
	for _, f := range append(knownFailures, knownFailure{os.ErrPermission, "permission", "check with"}) {
		for _, kind := range []errorfs.Kind{errorfs.Create, errorfs.Write, errorfs.Sync, errorfs.Rename} {
			t.Run(f.cause.Error()+" at "+kind.String(), func(t *testing.T) {
				path := newPath(t)
				quoted := strings.Trim(strconv.Quote(path), `"`) // as messages have it
				disk := errorfs.Wrap(vfs.OS)
				r := open(t, path, &registry.Options{FS: disk, Refresh: registry.RefreshNever})
				add(t, r, "a")
				before := stateOf(t, r, path)
				injected := disk.Inject(errorfs.Plan{Match: isKind(kind), Times: 10, Fault: errorfs.Fail(f.cause)})
				_, err := r.Add(t.Context(), machineOf("b"))
				disk.Clear()
				if injected.Fired() == 0 {
					t.Fatal("the fault did not fire")
				}
				o, ok := errors.AsType[*registry.Obstacle](err)
				if !ok || o.Check != f.check || !strings.Contains(err.Error(), f.says) || !errors.Is(err, f.cause) || !strings.Contains(err.Error(), quoted) {
					t.Errorf("Add = %v, want %s, %q, and the cause", err, f.check, f.says)
				}
				before.check(t, r, path)
				if p := problem(r.Health(), "writes"); p == nil || !errors.Is(p.Err, f.cause) || p.Since.IsZero() {
					t.Errorf("Health = %v, want why the write was refused", r.Health())
				}
				add(t, r, "c")
				if err := r.Health(); err != nil {
					t.Errorf("Health = %v after a write", err)
				}
			})
		}
	}
}
