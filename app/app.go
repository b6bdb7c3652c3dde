// Package app makes a program of the parts: it reads the configuration, wires
// reload, supervisor, store, worker and handlers together, and has the commands.
// A program with handlers of its own calls Main with Options.
package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/understudy-worker/understudy"
	"github.com/understudy-worker/understudy/internal/dsn"
	"github.com/understudy-worker/understudy/reload"
	"github.com/understudy-worker/understudy/supervisor"
)

// Options are what a program adds to the ready-made worker.
type Options struct {
	// Handlers makes the handlers of one epoch. It is called once per epoch,
	// so that nothing outlives env.Pool; ctx ends when the epoch has ended. They
	// go before configured and ready-made handlers of the same kind. nil for none.
	Handlers func(ctx context.Context, env supervisor.Env) (understudy.Handlers, error)
	// Migrations are the application's own migrations, named as golang-migrate
	// wants them; run in each target's schema after the worker's own. A target's
	// app_migrations directory goes before them. nil for none.
	Migrations fs.FS
	// Version is the version to report where neither configuration nor
	// APP_VERSION gives one; "" for the build's.
	Version string
}

// Exit codes of the program.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
)

// Main runs the program and exits.
func Main(options Options) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// After the first signal the default is back: a second one ends the process at once.
	context.AfterFunc(ctx, stop)
	a := &application{Options: options, IO: IO{Args: os.Args[1:], Environ: os.Environ(), In: os.Stdin, Out: os.Stdout, Err: os.Stderr}}
	a.init = true
	a.libraries = takeLibraryLog(newLogger(os.Stderr, reload.Log{Format: "text"}))
	a.hide = hideProcess
	os.Exit(a.execute(ctx))
}

// IO is what a program reads and writes.
type IO struct {
	Args     []string // without the program's name
	Environ  []string // KEY=value
	In       io.Reader
	Out, Err io.Writer
}

// Run runs the program until it is done or ctx ends, and returns its exit
// code: 0 done, 1 failed, 2 wrong usage or configuration.
func Run(ctx context.Context, options Options, streams IO) int {
	a := &application{Options: options, IO: streams}
	return a.execute(ctx)
}

// application is one run of the program.
type application struct {
	Options
	IO
	libraries *libraryLog // nil where the process is not this program's alone
	// init says that the worker is to run below an init where its process adopts
	// orphans: its handlers' programs may leave some behind.
	init   bool
	warned bool         // that ps shows a DSN
	hide   func() error // hides the process from those that it starts; nil where it is not this program's alone
}

func (a *application) execute(ctx context.Context) int {
	root := a.root()
	root.SetArgs(a.Args)
	root.SetIn(a.In)
	root.SetOut(a.Out)
	root.SetErr(a.Err)
	err := root.ExecuteContext(ctx)
	var logged *loggedError
	var ended *exitError
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &ended):
		return ended.code
	case !errors.As(err, &logged):
		fmt.Fprintln(a.Err, "understudy: "+shortened(withoutSecrets(strings.TrimSpace(err.Error()))))
	}
	return exitCode(err)
}

func (a *application) root() *cobra.Command {
	root := &cobra.Command{
		Use:           "understudy",
		Short:         "A Postgres job worker for progressive delivery",
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          usageArgs(cobra.NoArgs),
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		if cmd.HasSubCommands() {
			return usagef("%w: %s: say what to do before its flags: %s (see %[2]s --help)", err, cmd.CommandPath(), strings.Join(subcommands(cmd), ", "))
		}
		return &usageError{fmt.Errorf("%w (see %s --help)", err, cmd.CommandPath())}
	})
	root.AddCommand(a.runCommand(), a.versionCommand(), a.migrateCommand(), a.enqueueCommand(), a.jobsCommand(), a.workersCommand(), a.smokeCommand(), a.testerCommand(), a.demoCommand())
	return root
}

// usageError is a command line that cannot be meant.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

// usageArgs makes a command's check of its arguments a usage error.
func usageArgs(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return &usageError{fmt.Errorf("%w (see %s --help)", err, cmd.CommandPath())}
		}
		return nil
	}
}

// exitError is the end of a program that has said why itself.
type exitError struct{ code int }

func (e *exitError) Error() string { return fmt.Sprintf("exit code %d", e.code) }

func exitCode(err error) int {
	var usage *usageError
	var config *reload.ConfigError
	if errors.As(err, &usage) || errors.As(err, &config) {
		return exitUsage
	}
	return exitFailed
}

// config reads the configuration that the command's flags, the environment and
// the file give. target is the one target that the command is about, "" for all.
func (a *application) config(cmd *cobra.Command, target string) (reload.Config, error) {
	config, err := reload.Load(reload.Source{Environ: a.Environ, Flags: cmd.Flags(), Version: a.version(), Target: target})
	if err == nil {
		a.warnOfSecretFlags(cmd, &config)
	}
	return config, err
}

// warnOfSecretFlags says once that ps shows the DSNs that are given as flags. Where one
// is wrong, that is all that is said: it is wrong configuration, one line.
func (a *application) warnOfSecretFlags(cmd *cobra.Command, config *reload.Config) {
	flags := reload.SecretFlags(cmd.Flags())
	if len(flags) == 0 || a.warned {
		return
	}
	for name, target := range config.Targets {
		for _, given := range []reload.Secret{target.DSN, target.MigrateDSN} {
			if _, err := dsn.Parse(name, given.Reveal()); given != "" && err != nil {
				return
			}
		}
	}
	a.warned = true
	newLogger(a.Err, config.Log).Warn("a DSN that is given as a flag is shown by ps to everybody on this machine: give it as a variable, or in a file", "flags", flags)
}
