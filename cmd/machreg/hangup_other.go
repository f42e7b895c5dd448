//go:build !unix

package main

import (
	"context"
	"io"
)

// waitHangup cannot tell here; the next write does.
func waitHangup(context.Context, io.Writer) bool { return false }
