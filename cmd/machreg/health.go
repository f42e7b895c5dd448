package main

import (
	"errors"
	"fmt"

	"github.com/machreg/machreg/registry"
)

// watchProblem picks what matters to somebody who waits for changes: that the
// file cannot be read, before that they arrive later.
func watchProblem(err error) (registry.Problem, bool) {
	health, ok := errors.AsType[*registry.HealthError](err)
	if !ok {
		return registry.Problem{}, false
	}
	for _, part := range []string{"file", "changes"} {
		for _, p := range health.Problems {
			if p.Part == part {
				return p, true
			}
		}
	}
	return registry.Problem{}, false
}

func troubleText(p registry.Problem) string {
	switch {
	case errors.Is(p.Err, registry.ErrStaleMount):
		return fmt.Sprintf("no changes arrive: %v", p.Err)
	case p.Part == "file":
		return fmt.Sprintf("no changes arrive until the file can be read: %v", p.Err)
	}
	return fmt.Sprintf("changes arrive up to a second late: %v", p.Err)
}
