package app

import (
	"context"
	"crypto/rand"
	"time"

	"github.com/spf13/cobra"

	"github.com/understudy-worker/understudy"
	"github.com/understudy-worker/understudy/store"
)

// maxSmokeJobs is how many jobs a smoke test may have.
const maxSmokeJobs = 10_000

// smoking is what smoke was asked for.
type smoking struct {
	aim
	out         output
	args        string
	job         store.NewJob
	count       int
	maxAttempts int16
	timeout     time.Duration
}

func (a *application) smokeCommand() *cobra.Command {
	var s smoking
	cmd := &cobra.Command{
		Use:   "smoke",
		Short: "Enqueue jobs, and succeed only if a version completes them all",
		Long: `Enqueue jobs, wait until each is finished, and succeed only if the version that
--template-hash names has completed them all; without it, any worker may have.
The time it waits includes that in which the server starts, and a starting
worker migrates the schema.

When the time is up, jobs that are not finished are cancelled. What stood in the
way is printed. The jobs' metadata hold the run: {"smoke": "…"}.`,
		Example: `  understudy smoke --template-hash 6d4b75cb6d --kind mail --args '{"dry_run": true}'`,
		Args:    usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := s.check(); err != nil {
				return err
			}
			t := &smokeTest{smoking: s, run: rand.Text(), began: time.Now()}
			return a.withPatientClient(cmd, s.aim, s.timeout, func(ctx context.Context, c *client) error {
				t.client = c
				return t.judge(cmd, t.do(ctx))
			})
		},
	}
	s.flags(cmd, "preview")
	s.writes = true
	s.out.flag(cmd, "text")
	flags := cmd.Flags()
	flags.StringVar(&s.job.Kind, "kind", "echo", "kind of the jobs")
	flags.StringVar(&s.args, "args", "{}", "JSON that their handler gets")
	flags.StringVar(&s.job.Queue, "queue", understudy.DefaultQueue, "queue that they wait in")
	flags.IntVar(&s.count, "count", 10, "how many jobs")
	flags.Int16Var(&s.maxAttempts, "max-attempts", 1, "attempts that each of them has")
	flags.DurationVar(&s.timeout, "timeout", time.Minute, "how long it may take in all")
	return cmd
}

// check checks the flags.
func (s *smoking) check() (err error) {
	switch {
	case s.count < 1 || s.count > maxSmokeJobs:
		return usagef("--count %d: use 1 to %d", s.count, maxSmokeJobs)
	case s.timeout <= 0:
		return usagef("--timeout %s: use a duration above zero, such as 60s", s.timeout)
	case s.maxAttempts < 1:
		return usagef("--max-attempts %d: use at least 1", s.maxAttempts)
	case s.job.Queue == "":
		return usagef("--queue is empty: leave it out for %q", understudy.DefaultQueue)
	}
	args, err := parseArgs(s.args)
	if err != nil {
		return usagef("--args %w", err)
	}
	s.job.Args, s.job.MaxAttempts = args, int(s.maxAttempts)
	return nil
}
