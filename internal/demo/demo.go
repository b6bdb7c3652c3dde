package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/understudy-worker/understudy/reload"
)

// Options are what a demo needs.
type Options struct {
	// Executable is the program whose commands run and migrate the demo uses.
	Executable string
	// Environ is the environment, as os.Environ has it.
	Environ []string
	// In is where keys come from, without a script. Its end ends the demo; nil
	// is at its end.
	In *os.File
	// Version is what the tester reports as its own.
	Version string
	// Out is where the demo tells what happens.
	Out io.Writer
	// DSN is the server to play on; "" for one of the demo's own.
	DSN string
	// SchemaPrefix begins the names of the demo's schemas; "" for production
	// and preview_….
	SchemaPrefix string
	// Script is the steps to do unattended; "" to take keys.
	Script string
	// ActivePort, PreviewPort and TesterPort are ports of 127.0.0.1, 0 for any
	// that is free.
	ActivePort, PreviewPort, TesterPort int
	// ScaleDownDelay is how long a pod without a role, or one that was
	// aborted, runs on.
	ScaleDownDelay time.Duration
	// Keep keeps the directory with configuration, pod files and logs.
	Keep bool
}

// Defaults of the flags that stand for Options.
const (
	DefaultActivePort     = 8000
	DefaultPreviewPort    = 9000
	DefaultTesterPort     = 7000
	DefaultScaleDownDelay = 10 * time.Second
)

// UsageError is a demo that cannot be meant: nothing was started.
type UsageError struct{ err error }

func (e *UsageError) Error() string { return e.err.Error() }
func (e *UsageError) Unwrap() error { return e.err }

// Steps names the steps of a script, for help texts.
const Steps = verbs

var (
	errQuit        = errors.New("quit")
	errInterrupted = errors.New("interrupted before the script's end")
)

// Run plays the demo until its script is done, it is told to quit, or ctx
// ends. It returns an error if something that must hold did not. Whatever it
// started or made is gone when it returns.
func Run(ctx context.Context, o Options) error {
	steps, err := o.check()
	if err != nil {
		return &UsageError{err}
	}
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGHUP) // the terminal is closed
	defer stop()
	defer withstand()()
	return newStory(o, steps).play(ctx)
}

// withstand keeps this process from being ended by a second Ctrl-C while it
// clears away, and by a write to an output that nobody reads any more, which
// is an error instead; until the function it returns is called.
func withstand() (stop func()) {
	ignored := make(chan os.Signal, 1) // asking for a signal is enough
	signal.Notify(ignored, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE)
	return func() { signal.Stop(ignored) }
}

// check finds what is wrong with the options, and reads the script.
func (o Options) check() ([]step, error) {
	if o.DSN != "" {
		if err := checkDSN(o.DSN); err != nil {
			return nil, err
		}
	}
	for _, schema := range []string{o.SchemaPrefix + productionSchema, o.SchemaPrefix + previewSchemas + randomName(hashLength)} {
		if err := reload.CheckSchema(schema); err != nil {
			return nil, fmt.Errorf("--schema-prefix: %w", err)
		}
	}
	if err := o.checkPorts(); err != nil {
		return nil, err
	}
	switch {
	case o.ScaleDownDelay < 0:
		return nil, fmt.Errorf("--scale-down-delay %s: use a duration from 0s on", o.ScaleDownDelay)
	case o.Script == "":
		return nil, nil
	}
	return parseScript(o.Script)
}

// checkPorts finds what is wrong with the ports.
func (o Options) checkPorts() error {
	taken := map[int]string{} // flag by port
	for _, p := range []struct {
		flag string
		port int
	}{{"active-port", o.ActivePort}, {"preview-port", o.PreviewPort}, {"tester-port", o.TesterPort}} {
		other, again := taken[p.port]
		switch {
		case p.port < 0 || p.port > 65535:
			return fmt.Errorf("--%s %d: use a port from 1 to 65535, or 0 for any that is free", p.flag, p.port)
		case again && p.port != 0:
			return fmt.Errorf("--%s and --%s are both %d: use two", other, p.flag, p.port)
		}
		taken[p.port] = p.flag
	}
	return nil
}
