package app

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/understudy-worker/understudy"
	"github.com/understudy-worker/understudy/store"
)

func (a *application) jobsRetryCommand() *cobra.Command {
	var completed bool
	cmd := a.steerCommand(steering{
		use: "retry", short: "Make jobs due now that are neither running nor completed, other finished ones too",
		steer: func(s *store.Store, ctx context.Context, id int64) (understudy.State, error) {
			if completed {
				return s.RetryCompleted(ctx, id)
			}
			state, err := s.Retry(ctx, id)
			var refusal *store.Refusal
			if errors.As(err, &refusal) && refusal.OfCompleted() {
				refusal.Message += ": use --completed"
			}
			return state, err
		},
	})
	cmd.Flags().BoolVar(&completed, "completed", false, "completed jobs too: what they did is done again")
	return cmd
}

func (a *application) jobsCancelCommand() *cobra.Command {
	return a.steerCommand(steering{
		use: "cancel", short: "Cancel jobs: waiting ones at once, running ones when their handler returns",
		steer: (*store.Store).Cancel,
	})
}

// steering is a way to change a job.
type steering struct {
	use, short string
	steer      func(s *store.Store, ctx context.Context, id int64) (understudy.State, error)
}

// steered is what became of one job that was to be changed.
type steered struct {
	ID    int64            `json:"id"`
	State understudy.State `json:"state,omitempty"`
	Error string           `json:"error,omitempty"`
}

// steerCommand changes jobs one by one: what is refused for one of them does
// not keep the others from it, and makes the command fail in the end.
func (a *application) steerCommand(s steering) *cobra.Command {
	f := aim{writes: true}
	var out output
	cmd := &cobra.Command{
		Use:   s.use + " ID...",
		Short: s.short,
		Args:  usageArgs(cobra.MinimumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			ids, err := jobIDs(args)
			if err != nil {
				return err
			}
			return a.withClient(cmd, f, func(ctx context.Context, c *client) error {
				done, err := c.each(ctx, ids, s.steer)
				return errors.Join(out.steered(cmd, done), err, refused(s.use, done))
			})
		},
	}
	f.flags(cmd, "production")
	out.flag(cmd, "text")
	return cmd
}

// each changes jobs until the database cannot be asked any more.
func (c *client) each(ctx context.Context, ids []int64, steer func(*store.Store, context.Context, int64) (understudy.State, error)) ([]steered, error) {
	done := make([]steered, 0, len(ids))
	for _, id := range ids {
		state, err := steer(c.Store, ctx, id)
		var refusal *store.Refusal
		switch {
		case errors.As(err, &refusal):
			done = append(done, steered{ID: id, Error: refusal.Message})
		case err != nil:
			return done, err
		default:
			done = append(done, steered{ID: id, State: state})
		}
	}
	return done, nil
}

// refused is the command's error if a job was refused; that of the job itself
// if there is no other.
func refused(verb string, done []steered) error {
	var count int
	var message string
	for _, job := range done {
		if job.Error != "" {
			count, message = count+1, job.Error
		}
	}
	switch {
	case count == 0:
		return nil
	case len(done) == 1:
		return errors.New(message)
	}
	return fmt.Errorf("%s: %d of %s refused, see above", verb, count, plural(len(done), "job"))
}

// steered prints the jobs that were changed; refusals go beside them.
func (o *output) steered(cmd *cobra.Command, done []steered) error {
	if o.json() {
		return writeJSON(cmd.OutOrStdout(), done)
	}
	for _, job := range done {
		var err error
		switch {
		case job.Error == "":
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%d %s\n", job.ID, job.State)
		case len(done) > 1:
			_, err = fmt.Fprintln(cmd.ErrOrStderr(), job.Error)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
