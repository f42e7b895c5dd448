package registry_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/machreg/machreg/registry"
)

// A wait for a revision that does not come ends with its context or with the
// registry, and says what it waited for.
func TestAtLeastEnds(t *testing.T) {
	r := open(t, newPath(t), nil)
	add(t, r, "a")
	cause := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	go cancel(cause)
	if _, err := r.AtLeast(ctx, 7); !errors.Is(err, cause) || !strings.HasPrefix(err.Error(), "wait for revision 7: enough") {
		t.Errorf("AtLeast: %v, want %v", err, cause)
	}
	ended := make(chan error)
	go func() {
		_, err := r.AtLeast(context.Background(), 7)
		ended <- err
	}()
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, registry.ErrClosed) {
		t.Errorf("AtLeast when the registry is closed: %v, want ErrClosed", err)
	}
}
