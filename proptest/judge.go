package proptest

import (
	"errors"
	"fmt"
	"path/filepath"
)

// Check judges a history; nil means that it is as it should be. Of a subject
// with revisions it is judged by their order and by porcupine, of another by
// porcupine and by what plain reads show.
func (h *History) Check() error {
	if err := h.sound(); err != nil {
		return err
	}
	if h.Versioned {
		if err := h.checkOrder(); err != nil {
			return err
		}
	} else if err := h.checkStale(); err != nil {
		return err
	}
	return h.checkLinear()
}

// Violation is a property that did not hold.
type Violation struct {
	// Stage is the part of the suite that found it.
	Stage string
	// Checks is how many generated cases of that stage it took: command
	// sequences or histories.
	Checks int
	// Err says what happened.
	Err error
	// Ways are those in which the handles of a history were opened, if they
	// differ.
	Ways []string
	// Dir holds history.json and history.html, if there is a history.
	Dir string
}

func (v *Violation) Error() string {
	s := fmt.Sprintf("%s, check %d (%s=%d): %v", v.Stage, v.Checks, EnvSeed, seed(), v.Err)
	for i, way := range v.Ways {
		s += fmt.Sprintf("\nhandle %d: %s", i, way)
	}
	if v.Dir != "" {
		s += fmt.Sprintf("\nthe history is in %s: history.json, and history.html for a browser", v.Dir)
	}
	return s
}

// Unwrap returns Err.
func (v *Violation) Unwrap() error { return v.Err }

// keep saves what is needed to look into a violation later.
func (v *Violation) keep(h *History) {
	dir, err := failureDir()
	if err == nil {
		v.Dir = dir
		err = errors.Join(h.Save(filepath.Join(dir, "history.json")), h.picture(filepath.Join(dir, "history.html")))
	}
	if err != nil {
		v.Err = fmt.Errorf("%w\nthe history could not be saved: %w", v.Err, err)
	}
}
