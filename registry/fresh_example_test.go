package registry_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"time"

	"github.com/machreg/machreg/registry"
)

// exampleRegistry is a registry file for one example.
func exampleRegistry() (path string, remove func()) {
	dir, err := os.MkdirTemp("", "machreg")
	if err != nil {
		log.Fatal(err)
	}
	return filepath.Join(dir, "machines.json"), func() { os.RemoveAll(dir) }
}

func ExampleRegistry_Watch() {
	path, remove := exampleRegistry()
	defer remove()
	reg, err := registry.OpenMachines(path, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer reg.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()

	changes := reg.Watch(ctx) // from now on, though nobody has asked for the first yet
	if _, err := reg.Add(ctx, registry.Machine{Name: "build-01", Type: "ssh", Host: "ci@build-01"}); err != nil {
		log.Fatal(err)
	}
	for change, err := range changes {
		if err != nil {
			log.Fatal(err) // the context ended, or the registry was closed
		}
		for _, m := range change.Added {
			fmt.Printf("revision %d: %s is new, at %s\n", change.To, m.Name, m.Value.Host)
		}
		break
	}
	// Output: revision 1: build-01 is new, at ci@build-01
}

func ExampleRegistry_Latest() {
	path, remove := exampleRegistry()
	defer remove()
	ctx := context.Background()
	here, err := registry.OpenMachines(path, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer here.Close()
	elsewhere, err := registry.OpenMachines(path, nil) // in another process, say
	if err != nil {
		log.Fatal(err)
	}
	defer elsewhere.Close()
	if _, err := elsewhere.Add(ctx, registry.Machine{Name: "build-01", Type: "ssh", Host: "ci@build-01"}); err != nil {
		log.Fatal(err)
	}

	// Get may be a moment behind; Latest sees all that was acknowledged.
	snap, err := here.Latest(ctx)
	if err != nil {
		log.Fatal(err)
	}
	m, ok := snap.Get("build-01")
	fmt.Println(m.Host, ok)
	// Output: ci@build-01 true
}

func ExampleRegistry_AtLeast() {
	path, remove := exampleRegistry()
	defer remove()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	here, err := registry.OpenMachines(path, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer here.Close()
	elsewhere, err := registry.OpenMachines(path, nil) // in another process, say
	if err != nil {
		log.Fatal(err)
	}
	defer elsewhere.Close()
	rev, err := elsewhere.Add(ctx, registry.Machine{Name: "build-01", Type: "ssh", Host: "ci@build-01"})
	if err != nil {
		log.Fatal(err)
	}

	// The writer passes rev on, in a message or a header.
	if _, err := here.AtLeast(ctx, rev); err != nil {
		log.Fatal(err)
	}
	m, err := here.Get("build-01")
	fmt.Println(m.Host, err)
	// Output: ci@build-01 <nil>
}
