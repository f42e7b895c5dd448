// Command machreg registers machines in a JSON file that any number of
// processes share, and lists, watches, edits, exports and reaches them.
//
// "machreg help" is the manual; "machreg help exit-codes" lists what scripts
// can rely on.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	// Handled, not ignored: a write to a pipe that nobody reads any more then
	// returns an error here, while programs that are started still get the
	// signal.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run is the whole program; ctx ends when it is interrupted. The result is the
// exit code.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	a := newApp(stdin, stdout, stderr)
	root := a.rootCommand()
	root.SetArgs(append([]string{}, args...))
	return a.finish(root.ExecuteContext(ctx))
}
