// The lookup-service answers look-ups of machines over HTTP, from a registry
// file that any number of other processes change meanwhile. It shows what a
// long-running service does with package registry: open once, read without
// waiting, keep current by itself, say how it is, and shut down cleanly.
//
//	lookup-service -file machines.json -addr localhost:8080
//
//	GET /machines          all machines
//	GET /machines/{name}   one machine
//	GET /revision          the revision that answers come from
//	GET /healthz           whether everything works as it should
//
// Answers carry the registry's revision as ETag, and If-None-Match is honoured.
// With ?at-least=REV an answer is made of revision REV or a later one: a client
// that has just changed the registry reads its own write. Such a request waits
// for the revision, for at most -wait, and is then answered 504.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/machreg/machreg/registry"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "lookup-service:", err)
		os.Exit(1)
	}
}

// shutdownTime is how long requests that are under way may take once the
// service is told to end.
const shutdownTime = 10 * time.Second

// run serves until ctx ends. It prints the address it listens on.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	flags := flag.NewFlagSet("lookup-service", flag.ContinueOnError)
	flags.SetOutput(stderr)
	file := flags.String("file", "machines.json", "registry `file`")
	addr := flags.String("addr", "localhost:8080", "`address` to listen on; port 0 chooses one")
	wait := flags.Duration("wait", 5*time.Second, "longest wait for a revision asked for with at-least")
	if err := flags.Parse(args); err != nil {
		return err
	}
	logger := slog.New(slog.NewTextHandler(stderr, nil))

	// It only reads: it needs no write permission and creates nothing.
	reg, err := registry.OpenMachines(*file, &registry.Options{ReadOnly: true, Logger: logger})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, reg.Close()) }()

	listener, err := net.Listen("tcp", *addr)
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "listening on http://%s\n", listener.Addr())

	// Requests that wait for a revision must not hold up the shutdown, so
	// their contexts end with ctx.
	server := &http.Server{
		Handler:           newHandler(reg, *wait),
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ReadHeaderTimeout: 5 * time.Second,
		ErrorLog:          slog.NewLogLogger(logger.Handler(), slog.LevelWarn),
	}
	go logChanges(ctx, reg, logger)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	logger.Info("shutting down")
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTime)
	defer cancel()
	return server.Shutdown(grace)
}

// logChanges is all that it takes to act on changes as they come.
func logChanges(ctx context.Context, reg *registry.MachineRegistry, logger *slog.Logger) {
	for change, err := range reg.Watch(ctx) {
		if err != nil {
			return // ctx ended, or the registry was closed
		}
		logger.Info("registry changed", "from", change.From, "to", change.To,
			"added", len(change.Added), "updated", len(change.Updated), "removed", len(change.Removed))
	}
}
