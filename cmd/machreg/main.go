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

func main() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }

// run is the whole program. The result is the exit code.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	// Handled, not ignored: a write to a pipe that nobody reads any more then
	// returns an error here, while programs that are started still get the
	// signal.
	pipe := make(chan os.Signal, 1)
	signal.Notify(pipe, syscall.SIGPIPE)
	defer signal.Stop(pipe)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()

	a := newApp(stdin, stdout, stderr)
	root := a.rootCommand()
	root.SetArgs(append([]string{}, args...))
	return a.finish(root.ExecuteContext(ctx))
}
