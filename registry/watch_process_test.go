package registry_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/machreg/machreg/proptest/baseline"
	"github.com/machreg/machreg/registry"
)

// roleWatch composes what a watch yields, from the initial state on. It ends
// when the machine "end" is there, and says what it knows.
var roleWatch = program("watch", func(args []string) error {
	r, err := registry.OpenMachines(args[0], &registry.Options{PollInterval: never, ReadOnly: true})
	if err != nil {
		return err
	}
	defer r.Close()
	v := view[registry.Machine]{entries: map[string]registry.Machine{}}
	changes := 0
	for c, err := range r.Watch(context.Background(), registry.WithInitial()) {
		if err != nil {
			return err
		}
		if changes++; changes == 1 && c.From == 0 && c.To == 0 {
			for _, i := range c.Added {
				v.entries[i.Name] = i.Value
			}
		} else if err := v.apply(c); err != nil {
			return err
		}
		if changes == 1 {
			fmt.Println("watching", r.Stats().Changes.Name)
		}
		if _, ok := v.entries["end"]; ok {
			break
		}
	}
	for name, m := range v.entries {
		_, err := generationOf(m)
		fmt.Printf("entry %s %s %t\n", name, m.KeyPath, err == nil || name == registry.LocalName)
	}
	fmt.Println("end", v.revision, changes)
	return nil
})

// A burst of commits by several writers reaches watchers in other processes as
// differences that add up to the final state, in order.
func TestWatchBurst(t *testing.T) {
	path := newPath(t)
	var watchers [2]*child
	for i := range watchers {
		watchers[i] = startChild(t, roleWatch, path)
		if mode := watchers[i].read("watching"); mode != registry.ModeWatch {
			t.Skipf("NOT TESTED: no file-system events here (%s)", mode)
		}
	}
	const commits = 1000
	writer := open(t, path, &registry.Options{Sync: registry.SyncNone})
	for i := range commits - 1 {
		name := fmt.Sprintf("m-%d", i%100)
		var err error
		if i%300 < 200 {
			_, err = writer.Add(t.Context(), generation(name, i))
		} else {
			_, err = writer.Remove(t.Context(), name)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	last, err := writer.Add(t.Context(), generation("end", commits))
	if err != nil || last != commits {
		t.Fatalf("the last of %d commits is revision %d, %v", commits, last, err)
	}
	for i, w := range watchers {
		entries := 0
		for {
			line, ok := w.line()
			if rest, end := strings.CutPrefix(line, "end "); end {
				rev, changes, _ := strings.Cut(rest, " ")
				t.Logf("%d commits reached watcher %d as %s changes", last, i, changes)
				if rev != fmt.Sprint(last) || entries != writer.Len() {
					t.Errorf("watcher %d ends at revision %s with %d entries, want %d with %d", i, rev, entries, last, writer.Len())
				}
				break
			}
			fields := strings.Split(line, " ") // entry NAME GENERATION true
			if !ok || len(fields) != 4 || fields[3] != "true" {
				t.Fatalf("watcher %d says %q", i, line)
			}
			if m, err := writer.Get(fields[1]); err != nil || m.KeyPath != fields[2] {
				t.Errorf("watcher %d ends with %q, want %v, %v", i, line, m, err)
			}
			entries++
		}
		w.wait()
	}
}

// Other programs change the file in their own ways. Each change arrives, and
// none of them takes the revision back.
func TestWatchForeignWrites(t *testing.T) {
	path := newPath(t)
	foreign := func(names ...string) string {
		var b strings.Builder
		for _, name := range names {
			m := machineOf(name)
			fmt.Fprintf(&b, "%s{\"name\":%q,\"type\":%q,\"host\":%q,\"key_path\":%q,\"town_path\":%q}", keyOf(&b, name), m.Name, m.Type, m.Host, m.KeyPath, m.TownPath)
		}
		return `{"version":1,"machines":{` + b.String() + `}}`
	}
	shell := func(script string) func() error {
		return func() error {
			cmd := exec.Command("sh", "-c", script, "sh", path)
			out, err := cmd.CombinedOutput()
			if err != nil {
				return fmt.Errorf("%w: %s", err, out)
			}
			return nil
		}
	}
	resedited := machineOf("redirected")
	for _, field := range []*string{&resedited.Name, &resedited.KeyPath, &resedited.TownPath} {
		*field = strings.ReplaceAll(*field, "redirected", "resedited")
	}
	writes := []struct {
		name  string
		tool  string
		write func() error
		want  registry.Machine
	}{
		{"redirect", "sh", shell(`cat >"$1" <<'EOF'` + "\n" + foreign("redirected") + "\nEOF"), machineOf("redirected")},
		{"sed -i", "sed", shell(`sed -i 's/redirected/resedited/g' "$1"`), resedited},
		{"editor", "", func() error {
			// As an editor saves: the old file becomes the backup, then a new
			// one is written.
			if err := os.Rename(path, path+"~"); err != nil {
				return err
			}
			return os.WriteFile(path, []byte(foreign("edited")), 0o644)
		}, machineOf("edited")},
		{"rename", "", func() error { return writeAndRename(path, []byte(foreign("renamed"))) }, machineOf("renamed")},
		{"in place", "", func() error { return os.WriteFile(path, []byte(foreign("overwritten")), 0o644) }, machineOf("overwritten")},
		{"baseline", "", func() error {
			b := baseline.New(path, nil)
			if err := b.Load(); err != nil {
				return err
			}
			m := machineOf("baseline")
			return b.Add(&baseline.Machine{Name: m.Name, Type: m.Type, Host: m.Host, KeyPath: m.KeyPath, TownPath: m.TownPath})
		}, machineOf("baseline")},
	}
	r := open(t, path, &registry.Options{PollInterval: never})
	needEvents(t, r)
	add(t, r, "ours")
	v := viewOf(r.Revision(), r.All())
	next := steps(t, r.Watch(t.Context()))
	for _, w := range writes {
		if w.tool != "" {
			if _, err := exec.LookPath(w.tool); err != nil {
				t.Skipf("NOT TESTED: %v", err)
			}
		}
		if err := w.write(); err != nil {
			t.Fatalf("%s: %v", w.name, err)
		}
		// A change in place may be met half done: that is a corrupt file, and is
		// not yielded.
		if err := v.apply(next()); err != nil {
			t.Fatalf("%s: %v", w.name, err)
		}
		if got := v.entries[w.want.Name]; got != w.want {
			t.Errorf("%s yields %+v, want %+v", w.name, got, w.want)
		}
		// And ours go on above it.
		before := v.revision
		if rev := add(t, r, "after-"+strings.ReplaceAll(w.name, " ", "-")); rev <= before {
			t.Errorf("%s: our next write is revision %d, not above %d", w.name, rev, before)
		}
		if err := v.apply(next()); err != nil {
			t.Fatalf("after %s: %v", w.name, err)
		}
	}
	if err := r.Health(); err != nil {
		t.Errorf("Health() = %v", err)
	}
}

func keyOf(b *strings.Builder, name string) string {
	key := fmt.Sprintf("%q:", name)
	if b.Len() > 0 {
		return "," + key
	}
	return key
}
