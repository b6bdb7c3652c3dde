package app

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/understudy-worker/understudy/internal/demo"
)

func (a *application) demoCommand() *cobra.Command {
	var o demo.Options
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Run two versions, production and preview, on this machine",
		Long: `Run two versions on this machine: version 1.0 works the jobs of production,
version 2.0 those of its own preview schema, until you promote it, abort it or
undo what you did. Jobs trickle into both, and what happens is told.

Postgres is the server of --dsn, else a temporary one from the server binaries
on this machine, else one in Docker. When the demo ends nothing is left of it.

The tester, a page that shows production and preview side by side, has buttons
for jobs and for the steps. Keys do the same: p promote, a abort, u undo, n new
version, k kill the active worker; q quit. With --script the steps are done unattended, and the command fails if
what must hold did not.`,
		Example: "  understudy demo\n  understudy demo --script promote,undo,promote,kill",
		Args:    usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.demo(cmd, o)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.DSN, "dsn", "", "Postgres server to use; only schemas that the demo creates are dropped")
	flags.StringVar(&o.SchemaPrefix, "schema-prefix", "", "what the names of the demo's schemas begin with")
	flags.StringVar(&o.Script, "script", "", "steps to do unattended, divided by commas: "+demo.Steps)
	flags.IntVar(&o.ActivePort, "active-port", demo.DefaultActivePort, "port that leads to the active version, 0 for any that is free")
	flags.IntVar(&o.PreviewPort, "preview-port", demo.DefaultPreviewPort, "port that leads to the version in preview, 0 for any that is free")
	flags.IntVar(&o.TesterPort, "tester-port", demo.DefaultTesterPort, "port of the tester's page, 0 for any that is free")
	flags.DurationVar(&o.ScaleDownDelay, "scale-down-delay", demo.DefaultScaleDownDelay, "how long a version that was replaced or aborted runs on")
	flags.BoolVar(&o.Keep, "keep", false, "keep the directory with configuration, pod files and logs")
	return cmd
}

func (a *application) demo(cmd *cobra.Command, o demo.Options) error {
	if o.DSN != "" {
		fmt.Fprintln(a.Err, "understudy: --dsn is shown by ps to everybody on this machine while the demo runs: give it a login that is worth nothing")
	}
	var err error
	if o.Executable, err = os.Executable(); err != nil {
		return fmt.Errorf("demo: find this program: %w", err)
	}
	o.Environ, o.Out, o.Version = a.Environ, a.Out, a.version()
	o.In, _ = a.In.(*os.File)
	err = demo.Run(cmd.Context(), o)
	var usage *demo.UsageError
	if errors.As(err, &usage) {
		err = &usageError{err}
	}
	if err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	return nil
}
