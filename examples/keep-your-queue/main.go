// Command keep-your-queue runs River in the role that its pod's labels give:
// the queue stays River's, and learns from Understudy which schema it may work,
// when to stop and when to go on elsewhere.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"github.com/spf13/pflag"

	"github.com/understudy-worker/understudy/reload"
	"github.com/understudy-worker/understudy/supervisor"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	if err := run(ctx, os.Args[1:], os.Environ(), os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "keep-your-queue:", err)
		os.Exit(1)
	}
}

// run works jobs until ctx ends. The configuration is Understudy's: of it, the
// pod's labels, the roles, the targets and the queues count here.
func run(ctx context.Context, args, environ []string, out io.Writer) error {
	flags := pflag.NewFlagSet("keep-your-queue", pflag.ContinueOnError)
	flags.SetOutput(out)
	reload.Flags(flags)
	if err := flags.Parse(args); errors.Is(err, pflag.ErrHelp) {
		return nil
	} else if err != nil {
		return err
	}
	config, err := reload.Load(reload.Source{Environ: environ, Flags: flags, Version: "dev"})
	if err != nil {
		return err
	}
	return lead(ctx, config, slog.New(slog.NewTextHandler(out, nil)))
}

// lead leads River through the roles that the watcher reads.
func lead(ctx context.Context, config reload.Config, log *slog.Logger) error {
	watcher, err := reload.NewWatcher(config, log)
	if err != nil {
		return err
	}
	q := &queue{config: config, log: log}
	s, err := supervisor.New(supervisor.Options{
		Snapshots: watcher.Snapshots(), Version: config.Version,
		Prepare: q.prepare, Serve: q.serve, Log: log,
		Targets: func() []reload.Target { return reload.Targets(config, watcher.Health().Labels) },
	})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	var watching sync.WaitGroup
	defer watching.Wait()
	defer cancel()
	watching.Go(func() { _ = watcher.Run(ctx) }) // returns nil, when ctx ends
	return s.Run(ctx)
}
