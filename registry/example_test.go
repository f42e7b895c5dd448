package registry_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/machreg/machreg/filelock"
	"github.com/machreg/machreg/registry"
)

// exampleFile is a registry that does not exist yet, and how to get rid of it.
func exampleFile() (path string, remove func()) {
	dir, err := os.MkdirTemp("", "registry-example")
	if err != nil {
		log.Fatal(err)
	}
	return filepath.Join(dir, "registry.json"), func() { os.RemoveAll(dir) }
}

func ExampleOpenMachines() {
	path, remove := exampleFile()
	defer remove()

	reg, err := registry.OpenMachines(path, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer reg.Close()

	ctx := context.Background()
	rev, err := reg.Add(ctx, registry.Machine{Name: "build-01", Type: registry.TypeSSH, Host: "ci@build-01"})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("revision", rev)

	m, err := reg.Get("build-01")
	fmt.Println(m.Host, err)
	_, err = reg.Get("build-02")
	fmt.Println(errors.Is(err, registry.ErrNotFound))
	for _, m := range reg.List() {
		fmt.Println(m.Name, m.Type)
	}
	// Output:
	// revision 1
	// ci@build-01 <nil>
	// true
	// build-01 ssh
	// local local
}

// Both machines move, or neither; and if one has changed since it was read, the
// function runs again.
func ExampleRegistry_Update() {
	path, remove := exampleFile()
	defer remove()
	reg, err := registry.OpenMachines(path, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer reg.Close()

	ctx := context.Background()
	for _, name := range []string{"web-1", "web-2"} {
		if _, err := reg.Add(ctx, registry.Machine{Name: name, Type: "container", TownPath: "/old"}); err != nil {
			log.Fatal(err)
		}
	}
	rev, err := reg.Update(ctx, func(tx *registry.Tx[registry.Machine]) error {
		for _, name := range []string{"web-1", "web-2"} {
			m, err := tx.Get(name)
			if err != nil {
				return err // nothing is changed
			}
			m.TownPath = "/srv/town"
			if err := tx.Put(name, m); err != nil {
				return err
			}
		}
		return nil
	})
	fmt.Println("revision", rev, err)
	m, _ := reg.Get("web-2")
	fmt.Println(m.TownPath)
	// Output:
	// revision 3 <nil>
	// /srv/town
}

// Of all processes that try to be the leader, one succeeds.
func ExampleIfAbsent() {
	path, remove := exampleFile()
	defer remove()
	reg, err := registry.OpenMachines(path, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer reg.Close()

	for _, host := range []string{"one", "two"} {
		_, err := reg.Add(context.Background(), registry.Machine{Name: "leader", Type: "role", Host: host}, registry.IfAbsent())
		var taken *registry.ConflictError[registry.Machine]
		if errors.As(err, &taken) {
			fmt.Println(host, "comes too late; the leader is", taken.Value.Host)
			continue
		}
		fmt.Println(host, "leads:", err == nil)
	}
	// Output:
	// one leads: true
	// two comes too late; the leader is one
}

// A write that must not overwrite what its author has not seen says what that
// was.
func ExampleIfRevision() {
	path, remove := exampleFile()
	defer remove()
	reg, err := registry.OpenMachines(path, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer reg.Close()

	ctx := context.Background()
	seen, err := reg.Add(ctx, registry.Machine{Name: "build-01", Type: registry.TypeSSH, Host: "old"})
	if err != nil {
		log.Fatal(err)
	}
	// Somebody else is faster.
	if _, err := reg.Add(ctx, registry.Machine{Name: "build-01", Type: registry.TypeSSH, Host: "theirs"}); err != nil {
		log.Fatal(err)
	}
	_, err = reg.Add(ctx, registry.Machine{Name: "build-01", Type: registry.TypeSSH, Host: "ours"}, registry.IfRevision(seen))
	var conflict *registry.ConflictError[registry.Machine]
	if errors.As(err, &conflict) {
		fmt.Printf("seen %d, now %d with host %s\n", conflict.Expected, conflict.Current, conflict.Value.Host)
	}
	// Output: seen 1, now 2 with host theirs
}

// A transaction that is committed by hand may find that what it read has
// changed; Update would run it again.
func ExampleRegistry_Begin() {
	path, remove := exampleFile()
	defer remove()
	reg, err := registry.OpenMachines(path, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer reg.Close()
	ctx := context.Background()
	if _, err := reg.Add(ctx, registry.Machine{Name: "build-01", Type: registry.TypeSSH, Host: "old"}); err != nil {
		log.Fatal(err)
	}

	tx := reg.Begin() // takes no lock, and may stay open for long
	m, err := tx.Get("build-01")
	if err != nil {
		log.Fatal(err)
	}
	// Meanwhile, here or in another process:
	if _, err := reg.Add(ctx, registry.Machine{Name: "build-01", Type: registry.TypeSSH, Host: "theirs"}); err != nil {
		log.Fatal(err)
	}
	m.Host = m.Host + "-renamed"
	if err := tx.Put(m.Name, m); err != nil {
		log.Fatal(err)
	}
	_, err = tx.Commit(ctx)
	fmt.Println(errors.Is(err, registry.ErrConflict))
	m, _ = reg.Get("build-01")
	fmt.Println(m.Host)
	// Output:
	// true
	// theirs
}

// Flag is a value of one's own.
type Flag struct {
	On      bool     `json:"on"`
	Percent int      `json:"percent"`
	Teams   []string `json:"teams,omitempty"`
}

// A registry holds any type that can be written as JSON.
func ExampleOpen() {
	path, remove := exampleFile()
	defer remove()

	flags, err := registry.Open(path, registry.Schema[Flag]{
		Collection: "flags",
		Check: func(name string, f *Flag) error {
			if f.Percent < 0 || f.Percent > 100 {
				return fmt.Errorf("percent %d is not from 0 to 100", f.Percent)
			}
			return nil
		},
	}, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer flags.Close()

	ctx := context.Background()
	_, err = flags.Put(ctx, "dark-mode", Flag{On: true, Percent: 20, Teams: []string{"web"}})
	fmt.Println(err)
	_, err = flags.Put(ctx, "new-search", Flag{Percent: 120})
	fmt.Println(errors.Is(err, registry.ErrInvalid), err)
	for name, f := range flags.All() {
		fmt.Println(name, f.On, f.Percent, f.Teams)
	}
	// Output:
	// <nil>
	// true put: "new-search": percent 120 is not from 0 to 100
	// dark-mode true 20 [web]
}

// Who holds the lock of a registry, and so keeps others from writing?
func ExampleLockPath() {
	path, remove := exampleFile()
	defer remove()
	lock, err := registry.LockPath(path, nil)
	if err != nil {
		log.Fatal(err)
	}
	_, err = filelock.New(lock, nil).Holder()
	fmt.Println(errors.Is(err, filelock.ErrNoHolder))
	// Output: true
}

func ExampleProbe() {
	path, remove := exampleFile()
	defer remove()
	access, err := registry.Probe(context.Background(), path, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := access.Err(); err != nil {
		fmt.Println("writes would be refused:", err)
		return
	}
	fmt.Println("this user can write here")
	// Output: this user can write here
}
