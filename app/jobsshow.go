package app

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/understudy-worker/understudy"
	"github.com/understudy-worker/understudy/store"
)

func (a *application) jobsShowCommand() *cobra.Command {
	var f aim
	var out output
	cmd := &cobra.Command{
		Use:   "show ID",
		Short: "Show all of one job, with every attempt and its error",
		Args:  usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			ids, err := jobIDs(args)
			if err != nil {
				return err
			}
			return a.withClient(cmd, f, func(ctx context.Context, c *client) error {
				row, err := c.Job(ctx, ids[0])
				if err != nil {
					return err
				}
				jobInUTC(&row)
				if out.json() {
					return writeJSON(cmd.OutOrStdout(), row)
				}
				return writeJob(cmd.OutOrStdout(), row)
			})
		},
	}
	f.flags(cmd, "production")
	out.flag(cmd, "text")
	return cmd
}

// jobIDs reads ids of jobs.
func jobIDs(args []string) ([]int64, error) {
	ids := make([]int64, 0, len(args))
	for _, arg := range args {
		id, err := strconv.ParseInt(arg, 10, 64)
		if err != nil || id < 1 {
			return nil, usagef("%q is not the id of a job: use a number such as 42", arg)
		}
		ids = append(ids, id)
	}
	return ids, nil
}

// writeJob writes a job as a list of names and values, then its attempts.
func writeJob(w io.Writer, j store.JobRow) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, line := range [][2]string{
		{"id", strconv.FormatInt(j.ID, 10)},
		{"kind", j.Kind},
		{"queue", j.Queue},
		{"state", stateOf(j)},
		{"priority", strconv.Itoa(j.Priority)},
		{"attempt", attemptOf(j)},
		{"losses", strconv.Itoa(j.Losses)},
		{"unique key", orDash(j.UniqueKey)},
		{"args", compact(j.Args)},
		{"metadata", compact(j.Metadata)},
		{"created", stamp(j.CreatedAt)},
		{"scheduled", stamp(j.ScheduledAt)},
		{"attempted", stampOf(j.AttemptedAt)},
		{"finalized", stampOf(j.FinalizedAt)},
		{"worker", strings.TrimSpace(workerOf(j) + " " + j.WorkerID)},
		{"result", compact(j.Result)},
		{"warning", orDash(j.Warning)},
	} {
		if _, err := fmt.Fprintf(table, "%s\t%s\n", line[0], printable(line[1])); err != nil {
			return err
		}
	}
	if err := table.Flush(); err != nil {
		return err
	}
	return writeAttempts(w, j)
}

// compact is JSON on one line; a dash for none.
func compact(data json.RawMessage) string {
	if data == nil {
		return "-"
	}
	return string(data)
}

// writeAttempts writes a line for each attempt, and all of its error below.
func writeAttempts(w io.Writer, j store.JobRow) error {
	var b strings.Builder
	for _, at := range j.Attempts {
		fmt.Fprintf(&b, "\nattempt %d by version %s in role %s, worker %s, %s to %s\n",
			at.Number, printable(at.Version), printable(at.Role), at.Worker, stampOf(at.StartedAt), stampOf(at.FinishedAt))
		for line := range strings.Lines(at.Error) {
			fmt.Fprintf(&b, "  %s\n", printable(strings.TrimRight(line, "\r\n")))
		}
	}
	if j.State == understudy.StateRunning {
		fmt.Fprintf(&b, "\nattempt %d is running since %s\n", j.Attempt, stampOf(j.AttemptedAt))
	}
	_, err := io.WriteString(w, b.String())
	return err
}
