package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/spf13/cobra"

	"github.com/understudy-worker/understudy/store"
)

const (
	// smokePoll is how often smoke looks at its jobs.
	smokePoll = 200 * time.Millisecond
	// smokeCleanup bounds what smoke still does after its time is up.
	smokeCleanup = 10 * time.Second
)

// smokeTest is one run of smoke.
type smokeTest struct {
	smoking
	client *client
	run    string // stands in the jobs' metadata

	began time.Time
	ids   []int64
	open  []int64              // those of ids that were not final when last seen
	fates map[int64]store.Fate // as last seen

	// The rest is known when the time is up.
	live      []store.WorkerRow
	cancelled int
	trouble   error // what kept smoke from looking
}

// do enqueues the jobs and waits until they are final or the time is up,
// which is no error of its own.
func (t *smokeTest) do(ctx context.Context) error {
	waiting, cancel := context.WithDeadline(ctx, t.began.Add(t.timeout))
	defer cancel()
	if err := t.enqueue(waiting); err != nil {
		return err
	}
	if t.wait(waiting) {
		return nil
	}
	cleaning, cancel := context.WithTimeout(context.WithoutCancel(ctx), smokeCleanup)
	defer cancel()
	t.trouble = t.clean(cleaning)
	return ctx.Err()
}

// enqueue enqueues the jobs as soon as the schema has what that needs: a new
// version's pods are ready, and tested, before they have migrated it.
func (t *smokeTest) enqueue(ctx context.Context) error {
	jobs := t.jobs()
	var obstacle error
	for {
		ids, err := t.client.EnqueueMany(ctx, jobs)
		switch {
		case err == nil:
			t.ids, t.open, t.fates = ids, slices.Clone(ids), make(map[int64]store.Fate, len(ids))
			return nil
		case ctx.Err() == nil && (notMigrated(err) || unavailable(err)):
			obstacle = err
		case ctx.Err() == nil || obstacle == nil:
			return err
		}
		if !pause(ctx, smokePoll) {
			return obstacle
		}
	}
}

// jobs are the jobs to enqueue. Each has a unique key, so that those which a
// server took and did not acknowledge are not enqueued again beside them.
func (t *smokeTest) jobs() []store.NewJob {
	job := t.job
	job.Metadata = map[string]string{"smoke": t.run}
	jobs := slices.Repeat([]store.NewJob{job}, t.count)
	for i := range jobs {
		jobs[i].UniqueKey = fmt.Sprintf("smoke %s %d", t.run, i)
	}
	return jobs
}

// wait looks at the jobs until all are final, and says whether they are
// before ctx ends.
func (t *smokeTest) wait(ctx context.Context) bool {
	for {
		t.trouble = t.look(ctx)
		if t.trouble == nil && len(t.open) == 0 {
			return true
		}
		if !pause(ctx, smokePoll) {
			return false
		}
	}
}

// look sees what has become of the jobs that were not final.
func (t *smokeTest) look(ctx context.Context) error {
	fates, err := t.client.Fates(ctx, t.open)
	if err != nil {
		return err
	}
	for _, id := range t.open {
		delete(t.fates, id) // one that is gone has no fate
	}
	t.open = nil
	for _, fate := range fates {
		t.fates[fate.ID] = fate
		if !fate.State.Final() {
			t.open = append(t.open, fate.ID)
		}
	}
	return nil
}

// clean sees how things stand when the time is up, and cancels what is open.
func (t *smokeTest) clean(ctx context.Context) (err error) {
	if err := t.look(ctx); err != nil {
		return err
	}
	if t.live, err = t.client.Live(ctx); err != nil {
		return err
	}
	for _, id := range t.open {
		if _, err := t.client.Cancel(ctx, id); err != nil {
			return err
		}
		t.cancelled++
	}
	return nil
}

// judge prints what came of it and returns an error unless all went well.
func (t *smokeTest) judge(cmd *cobra.Command, err error) error {
	if t.ids == nil {
		return t.notBegun(cmd.Context(), err)
	}
	report := t.report()
	if printErr := t.out.smoked(cmd, report); printErr != nil {
		return printErr
	}
	if err != nil { // not wrapped: there is more to say than that
		return fmt.Errorf("smoke: stopped (%v) and %s cancelled", context.Cause(cmd.Context()), plural(t.cancelled, "job"))
	}
	if !report.OK {
		return errors.New("smoke: " + report.Summary)
	}
	return nil
}

// notBegun is the error of a test that could not enqueue its jobs.
func (t *smokeTest) notBegun(ctx context.Context, err error) error {
	var connect *pgconn.ConnectError
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case notMigrated(err):
		return fmt.Errorf("smoke: nothing was enqueued: schema %q of target %q was not migrated within %s: see that a worker serves it, or run: understudy migrate up --target %[2]s --schema %[1]s",
			t.client.Schema(), t.client.target.Name, t.timeout)
	case errors.Is(err, context.DeadlineExceeded) && !errors.As(err, &connect):
		return fmt.Errorf("smoke: to enqueue %s took longer than --timeout %s: give it more", plural(t.count, "job"), t.timeout)
	case unavailable(err):
		return fmt.Errorf("smoke: nothing was enqueued within %s: the server of target %q has gone away: %w", t.timeout, t.client.target.Name, err)
	}
	return err
}

// pause waits and says whether ctx lasted.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
