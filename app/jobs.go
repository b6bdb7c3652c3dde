package app

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/understudy-worker/understudy"
	"github.com/understudy-worker/understudy/store"
)

// jobsCommand looks at jobs; jobssteer.go has the commands that change them.
func (a *application) jobsCommand() *cobra.Command {
	return group("jobs", "Look at jobs, cancel them and run them again",
		a.jobsListCommand(), a.jobsShowCommand(), a.jobsRetryCommand(), a.jobsCancelCommand(), a.jobsCountsCommand())
}

func (a *application) jobsListCommand() *cobra.Command {
	var f aim
	var out output
	var state string
	var filter store.Filter
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List jobs, the newest first",
		Example: `  understudy jobs list --state discarded --kind mail
  understudy jobs list --limit 1000 -o json | jq '.[] | .last_error'`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkFilter(&filter, state); err != nil {
				return err
			}
			return a.withClient(cmd, f, func(ctx context.Context, c *client) error {
				rows, err := c.Jobs(ctx, filter)
				if err != nil {
					return err
				}
				return out.list(cmd, rows, filter.Limit)
			})
		},
	}
	f.flags(cmd, "production")
	out.flag(cmd, "table")
	flags := cmd.Flags()
	flags.StringVar(&state, "state", "", fmt.Sprintf("only jobs in this state, one of %v", understudy.States))
	flags.StringVar(&filter.Kind, "kind", "", "only jobs of this kind")
	flags.StringVar(&filter.Queue, "queue", "", "only jobs of this queue")
	flags.IntVar(&filter.Limit, "limit", 50, "how many to list at the most")
	flags.Int64Var(&filter.Before, "before", 0, "only jobs with a smaller id: the last id of the page before")
	return cmd
}

func checkFilter(filter *store.Filter, state string) (err error) {
	switch {
	case filter.Limit < 1:
		return usagef("--limit %d: use at least 1", filter.Limit)
	case filter.Before < 0:
		return usagef("--before %d: use the id of a job", filter.Before)
	case state == "":
		return nil
	}
	if filter.State, err = understudy.ParseState(state); err != nil {
		return usagef("--state: %w", err)
	}
	return nil
}

// list prints jobs, and on the side how to get at the next page.
func (o *output) list(cmd *cobra.Command, rows []store.JobRow, limit int) error {
	cells := make([][]string, 0, len(rows))
	for i := range rows {
		jobInUTC(&rows[i])
		cells = append(cells, jobCells(rows[i]))
	}
	if o.json() {
		return writeJSON(cmd.OutOrStdout(), rows)
	}
	err := writeTable(cmd.OutOrStdout(),
		[]string{"ID", "STATE", "KIND", "QUEUE", "PRIORITY", "ATTEMPT", "SCHEDULED", "FINALIZED", "WORKER", "ERROR"}, cells)
	if err == nil && len(rows) == limit {
		_, err = fmt.Fprintf(cmd.ErrOrStderr(), "there may be more: --before %d\n", rows[limit-1].ID)
	}
	return err
}

func jobCells(j store.JobRow) []string {
	return []string{
		strconv.FormatInt(j.ID, 10), stateOf(j), j.Kind, j.Queue, strconv.Itoa(j.Priority), attemptOf(j),
		stamp(j.ScheduledAt), stampOf(j.FinalizedAt), workerOf(j), orDash(brief(j.LastError)),
	}
}

// stateOf is the job's state for people.
func stateOf(j store.JobRow) string {
	if j.CancelRequested {
		return string(j.State) + ", to be cancelled"
	}
	return string(j.State)
}

func attemptOf(j store.JobRow) string { return fmt.Sprintf("%d/%d", j.Attempt, j.MaxAttempts) }

// workerOf is the version and the role that has the job, or finished it.
func workerOf(j store.JobRow) string {
	if j.WorkerID == "" {
		return "-"
	}
	return j.WorkerVersion + " " + j.WorkerRole
}

func (a *application) jobsCountsCommand() *cobra.Command {
	var f aim
	var out output
	cmd := &cobra.Command{
		Use:   "counts",
		Short: "Count jobs by queue, kind and state",
		Args:  usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withClient(cmd, f, func(ctx context.Context, c *client) error {
				counts, err := c.Counts(ctx)
				if err != nil {
					return err
				}
				if out.json() {
					return writeJSON(cmd.OutOrStdout(), counts)
				}
				return writeCounts(cmd, counts)
			})
		},
	}
	f.flags(cmd, "production")
	out.flag(cmd, "table")
	return cmd
}

func writeCounts(cmd *cobra.Command, counts []store.Count) error {
	cells := make([][]string, 0, len(counts))
	for _, n := range counts {
		cells = append(cells, []string{n.Queue, n.Kind, string(n.State), strconv.FormatInt(n.Count, 10), strconv.FormatInt(n.Due, 10)})
	}
	return writeTable(cmd.OutOrStdout(), []string{"QUEUE", "KIND", "STATE", "COUNT", "DUE"}, cells)
}

// jobInUTC makes the times of a job read the same wherever the command runs.
func jobInUTC(j *store.JobRow) {
	j.ScheduledAt, j.CreatedAt = j.ScheduledAt.UTC(), j.CreatedAt.UTC()
	inUTC(j.AttemptedAt)
	inUTC(j.FinalizedAt)
	for i := range j.Attempts {
		inUTC(j.Attempts[i].StartedAt)
		inUTC(j.Attempts[i].FinishedAt)
	}
}

func inUTC(t *time.Time) {
	if t != nil {
		*t = t.UTC()
	}
}
