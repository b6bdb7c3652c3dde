package app

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/understudy-worker/understudy/store"
)

// workersCommand lists epochs.
func (a *application) workersCommand() *cobra.Command {
	var f aim
	var out output
	var live bool
	var limit int
	cmd := &cobra.Command{
		Use:   "workers",
		Short: "List the workers of a target, the newest first",
		Long: `List the workers of a target, the newest first: one line for each stretch that
a process worked in one role. A live worker holds its lease; one that is still
called serving but is not live has not been heard of, and its jobs go to others.`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if limit < 1 {
				return usagef("--limit %d: use at least 1", limit)
			}
			return a.withClient(cmd, f, func(ctx context.Context, c *client) error {
				rows, err := c.list(ctx, live, limit)
				if err != nil {
					return err
				}
				for i := range rows {
					workerInUTC(&rows[i])
				}
				if out.json() {
					return writeJSON(cmd.OutOrStdout(), rows)
				}
				return writeWorkers(cmd, rows)
			})
		},
	}
	f.flags(cmd, "production")
	out.flag(cmd, "table")
	cmd.Flags().BoolVar(&live, "live", false, "only workers that hold their lease")
	cmd.Flags().IntVar(&limit, "limit", 50, "how many to list at the most")
	return cmd
}

// list is the last workers, or the live ones.
func (c *client) list(ctx context.Context, live bool, limit int) ([]store.WorkerRow, error) {
	if !live {
		return c.Workers(ctx, limit)
	}
	rows, err := c.Live(ctx)
	return rows[:min(limit, len(rows))], err
}

func writeWorkers(cmd *cobra.Command, rows []store.WorkerRow) error {
	cells := make([][]string, 0, len(rows))
	for _, w := range rows {
		live := "no"
		if w.Live {
			live = "yes"
		}
		cells = append(cells, []string{
			w.ID, w.Pod, w.Version, w.Role, orDash(w.TemplateHash), w.State, live,
			stamp(w.StartedAt), stamp(w.HeartbeatAt), stampOf(w.EndedAt),
		})
	}
	return writeTable(cmd.OutOrStdout(),
		[]string{"ID", "POD", "VERSION", "ROLE", "TEMPLATE HASH", "STATE", "LIVE", "STARTED", "HEARTBEAT", "ENDED"}, cells)
}

func workerInUTC(w *store.WorkerRow) {
	w.StartedAt, w.HeartbeatAt, w.LeaseUntil = w.StartedAt.UTC(), w.HeartbeatAt.UTC(), w.LeaseUntil.UTC()
	inUTC(w.EndedAt)
}
