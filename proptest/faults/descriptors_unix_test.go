//go:build unix

package faults_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/machreg/machreg/registry"
)

// roleExhaust uses a registry with only some descriptors left, from none to
// enough, and judges itself after each.
var roleExhaust = program("exhaust", func(args []string) error {
	const limit = 64
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: limit, Max: limit}); err != nil {
		return err
	}
	path := filepath.Join(args[0], "machines.json")
	opts := &registry.Options{PollInterval: time.Millisecond}
	r, err := registry.OpenMachines(path, opts)
	if err != nil {
		return err
	}
	l := newLedger()
	refusals := 0
	add := func(name string) error {
		l.try(name)
		rev, err := r.Add(context.Background(), machineOf(name))
		l.note(rev, err, []string{name}, nil)
		if err == nil || errors.Is(err, registry.ErrNotDurable) {
			return nil
		}
		l.note(0, nil, nil, []string{name})
		return err
	}
	if err := add("first"); err != nil {
		return err
	}
	for spare := range 16 {
		var hoard []*os.File
		for {
			f, err := os.Open(os.DevNull)
			if err != nil {
				break
			}
			hoard = append(hoard, f)
		}
		for range min(spare, len(hoard)) {
			hoard[len(hoard)-1].Close()
			hoard = hoard[:len(hoard)-1]
		}
		var problems []error
		explained := func(what string, err error) {
			if err == nil {
				return
			}
			refusals++
			if !errors.Is(err, syscall.EMFILE) && !strings.Contains(err.Error(), "too many open files") {
				problems = append(problems, fmt.Errorf("with %d descriptors left: %s: %w", spare, what, err))
			}
		}
		explained("add", add(fmt.Sprintf("n%d", spare)))
		explained("refresh", r.Refresh(context.Background()))
		if other, err := registry.OpenMachines(path, opts); err != nil {
			explained("open", err)
		} else {
			explained("close", other.Close())
		}
		if m, err := r.Get("first"); err != nil || m != machineOf("first") {
			problems = append(problems, fmt.Errorf("with %d descriptors left Get = %+v, %w", spare, m, err))
		}
		for _, f := range hoard {
			f.Close()
		}
		if err := add(fmt.Sprintf("after%d", spare)); err != nil {
			problems = append(problems, fmt.Errorf("with descriptors again: %w", err))
		}
		data, err := os.ReadFile(path)
		if err := errors.Join(append(problems, err, l.check(data, true))...); err != nil {
			return err
		}
	}
	fmt.Printf("refusals %d\n", refusals)
	if err := r.Close(); err != nil {
		return err
	}
	if err := allClosed(args[0]); err != nil {
		return err
	}
	return l.checkAfter(args[0])
})

// A process without descriptors gets errors that say so; nothing crashes, is
// lost or leaks, and it goes on when there are descriptors again.
func TestDescriptorsExhausted(t *testing.T) {
	err := inDirectory(func(dir string) {
		c, err := startChild(roleExhaust, dir)
		if err != nil {
			t.Fatal(err)
		}
		line, _ := c.line()
		if err := c.cmd.Wait(); err != nil {
			t.Fatalf("%v: %s", err, c.err)
		}
		var refusals int
		if _, err := fmt.Sscanf(line, "refusals %d", &refusals); err != nil || refusals == 0 {
			t.Errorf("child says %q, want some refusals", line)
		}
		t.Log(line)
	})
	if err != nil {
		t.Fatal(err)
	}
}
