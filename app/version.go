package app

import (
	"fmt"
	"runtime"

	"github.com/spf13/cobra"
)

// Set by the linker: see the Makefile and the Dockerfile.
var (
	buildVersion = "dev"
	buildCommit  = "unknown"
)

// version is what the worker reports where the configuration says nothing.
func (a *application) version() string {
	if a.Version != "" {
		return a.Version
	}
	return buildVersion
}

func (a *application) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version, the commit and the version of Go",
		Args:  usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "understudy %s (commit %s, %s)\n", a.version(), buildCommit, runtime.Version())
			return err
		},
	}
}
