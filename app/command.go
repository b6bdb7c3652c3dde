package app

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// group is a command that is nothing without one of its subcommands. To name
// none is an error, so that a script with half a command does not pass for done.
func group(use, short string, commands ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use:   use,
		Short: short,
		Args:  usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return usagef("%s: say what to do: %s (see %[1]s --help)", cmd.CommandPath(), strings.Join(subcommands(cmd), ", "))
		},
	}
	cmd.AddCommand(commands...)
	return cmd
}

// subcommands are the names of what a command can be told to do.
func subcommands(cmd *cobra.Command) []string {
	var names []string
	for _, command := range cmd.Commands() {
		if command.IsAvailableCommand() {
			names = append(names, command.Name())
		}
	}
	return names
}

// usagef is fmt.Errorf for a usage error.
func usagef(format string, args ...any) error {
	return &usageError{fmt.Errorf(format, args...)}
}
