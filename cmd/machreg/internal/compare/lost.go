package compare

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/machreg/machreg/registry"
)

// account is what became of the acknowledged writes of a round.
type account struct {
	Acknowledged uint64
	Lost         uint64
	Mixed        uint64 // entries of the file that no write made
}

// contents is what a file holds: the number of the write that made each key.
type contents map[int]uint64

// judge compares the journals with the file. keys is how many there were at
// first, each made by write number 0, which counts as acknowledged.
//
// An acknowledged write is lost if its effect is not there, and no later write
// of its key explains that. That comes to light twice: when the owner removes
// what it had added, and is told that it is not there; and at the end. A lost
// write that its owner has overwritten before anybody looked is not counted.
func judge(keys int, h history, file contents) account {
	var a account
	for key := range keys {
		// since are the effects that may show now: that of the last
		// acknowledged write, then those of later ones of unknown fate. It is
		// empty when nothing is known.
		since := []event{{verb: put, outcome: acknowledged}}
		for _, e := range h[key] {
			switch e.outcome {
			case acknowledged:
				a.Acknowledged++
				since = []event{e}
			case absent:
				if len(since) > 0 && !mayBeAbsent(since) {
					a.Lost++
				}
				// What removed it may go on to bring it back.
				since = nil
			default:
				if since != nil {
					since = append(since, e)
				}
			}
		}
		number, there := file[key]
		if len(since) > 0 && !explains(since, number, there) {
			a.Lost++
		}
	}
	return a
}

func mayBeAbsent(since []event) bool { return explains(since, 0, false) }

// explains reports whether one of the events left the key as it is.
func explains(since []event, number uint64, there bool) bool {
	for _, e := range since {
		if there == (e.verb == put) && (!there || e.number == number) {
			return true
		}
	}
	return false
}

// readContents reads a registry file with encoding/json, which shares nothing
// with the code that is judged. mixed counts the entries that no write made. A
// file that is not there holds nothing.
func readContents(path string, keys int) (file contents, mixed uint64, err error) {
	file = make(contents)
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return file, 0, nil
	}
	if err != nil {
		return nil, 0, err
	}
	var f struct {
		Machines map[string]registry.Machine `json:"machines"`
	}
	if err := json.Unmarshal(data, &f); err != nil {
		return nil, 0, fmt.Errorf("registry %q after the round: %w", path, err)
	}
	for key := range keys {
		name := keyName(key)
		m, there := f.Machines[name]
		if !there {
			continue
		}
		number, err := numberOf(name, m)
		if err != nil {
			mixed++
			continue
		}
		file[key] = number
	}
	return file, mixed, nil
}

// writeContents makes the file that a round starts with, in the form that both
// the baseline and this registry read.
func writeContents(path string, keys int) error {
	f := struct {
		Version  int                         `json:"version"`
		Machines map[string]registry.Machine `json:"machines"`
	}{1, make(map[string]registry.Machine, keys+1)}
	f.Machines[registry.LocalName] = registry.Machine{Name: registry.LocalName, Type: registry.TypeLocal}
	for key := range keys {
		f.Machines[keyName(key)] = machineOf(keyName(key), 0, 0)
	}
	data, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, data, 0o644)
}
