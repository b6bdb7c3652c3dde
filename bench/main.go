package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	if err == nil {
		return
	}
	fmt.Fprintln(os.Stderr, "bench:", err)
	stop()
	os.Exit(1)
}

// run is the whole program, or one of the worker processes that it starts.
func run(ctx context.Context, args []string, in io.Reader, out, log io.Writer) error {
	if len(args) == 1 && args[0] == workerCommand {
		return work(ctx, in, out)
	}
	o, err := parseOptions(args, log)
	if errors.Is(err, errHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	report, err := o.report(ctx, log)
	if err != nil {
		return err
	}
	return o.present(report, out)
}

// report is what was measured before, or what is measured now.
func (o options) report(ctx context.Context, log io.Writer) (*report, error) {
	if o.from != "" {
		return readReport(o.from)
	}
	return measureAll(ctx, o, log)
}

// present writes the tables and the plot that were asked for.
func (o options) present(r *report, out io.Writer) error {
	if o.plot != "" {
		if err := plotFile(r, o.plot); err != nil {
			return err
		}
	}
	if o.table == "" {
		return writeTables(r, out)
	}
	return writeFile(o.table, func(w io.Writer) error { return writeTables(r, w) })
}

// writeFile writes a file whole, or says why not.
func writeFile(name string, write func(io.Writer) error) error {
	file, err := os.Create(name)
	if err != nil {
		return err
	}
	return errors.Join(write(file), file.Close())
}
