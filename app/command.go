package app

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// group is a command that is nothing without one of its subcommands. To name
// none is an error, so that a script with half a command does not pass for done.
func group(use, short string, commands ...*cobra.Command) *cobra.Command {
	names := make([]string, 0, len(commands))
	for _, command := range commands {
		names = append(names, command.Name())
	}
	cmd := &cobra.Command{
		Use:   use,
		Short: short,
		Args:  usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return usagef("%s: say what to do: %s (see %[1]s --help)", cmd.CommandPath(), strings.Join(names, ", "))
		},
	}
	cmd.AddCommand(commands...)
	return cmd
}

// usagef is fmt.Errorf for a usage error.
func usagef(format string, args ...any) error {
	return &usageError{fmt.Errorf(format, args...)}
}
