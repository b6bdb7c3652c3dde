package store_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/understudy-worker/understudy"
	"github.com/understudy-worker/understudy/store"
)

// standings are the ways a job can stand. Each makes one, of the kind given.
var standings = []struct {
	name           string
	stand          func(t *testing.T, f *fixture, q *store.Queue, job store.NewJob) int64
	cancel         understudy.State // what cancel returns
	afterCancel    understudy.State
	retry          string // what a refused retry says; empty: it is available
	attempts       int    // charged attempts after a retry
	maxAfterRetry  int
	triesAfterwork int // attempts listed after a retry
}{
	{
		name: "waiting", cancel: "cancelled", afterCancel: "cancelled", maxAfterRetry: 2,
		stand: func(t *testing.T, f *fixture, _ *store.Queue, job store.NewJob) int64 { return mustEnqueue(t, f, job) },
	}, {
		name: "scheduled", cancel: "cancelled", afterCancel: "cancelled", maxAfterRetry: 2,
		stand: func(t *testing.T, f *fixture, _ *store.Queue, job store.NewJob) int64 {
			job.ScheduledAt = time.Now().Add(time.Hour)
			return mustEnqueue(t, f, job)
		},
	}, {
		name: "due, not promoted", cancel: "cancelled", afterCancel: "cancelled", maxAfterRetry: 2,
		stand: func(t *testing.T, f *fixture, _ *store.Queue, job store.NewJob) int64 {
			job.ScheduledAt = time.Now().Add(time.Hour)
			id := mustEnqueue(t, f, job)
			f.makeDue(t, id)
			return id
		},
	}, {
		name: "retryable", cancel: "cancelled", afterCancel: "cancelled", attempts: 1, maxAfterRetry: 2, triesAfterwork: 1,
		stand: func(t *testing.T, f *fixture, q *store.Queue, job store.NewJob) int64 {
			return f.worked(t, q, job, understudy.Outcome{Verdict: understudy.Retried, Error: "no", Delay: time.Hour})
		},
	}, {
		name: "snoozed", cancel: "cancelled", afterCancel: "cancelled", maxAfterRetry: 2,
		stand: func(t *testing.T, f *fixture, q *store.Queue, job store.NewJob) int64 {
			return f.worked(t, q, job, understudy.Outcome{Verdict: understudy.Snoozed, Delay: time.Hour})
		},
	}, {
		name: "running", cancel: "running", afterCancel: "running", retry: "is running: wait until it ends, or cancel it first",
		stand: func(t *testing.T, f *fixture, q *store.Queue, job store.NewJob) int64 {
			id := mustEnqueue(t, f, job)
			held(t, q, []int64{id}, job.Kind)
			return id
		},
	}, {
		name: "completed", cancel: "completed", afterCancel: "completed", attempts: 1, maxAfterRetry: 2, triesAfterwork: 1,
		retry: "is completed: what it did would be done again. retry_completed() does that",
		stand: func(t *testing.T, f *fixture, q *store.Queue, job store.NewJob) int64 {
			return f.worked(t, q, job, understudy.Outcome{Verdict: understudy.Completed})
		},
	}, {
		name: "discarded", cancel: "discarded", afterCancel: "discarded", attempts: 1, maxAfterRetry: 2, triesAfterwork: 1,
		stand: func(t *testing.T, f *fixture, q *store.Queue, job store.NewJob) int64 {
			return f.worked(t, q, job, understudy.Outcome{Verdict: understudy.Discarded, Error: "no"})
		},
	}, {
		name: "discarded after its last attempt", cancel: "discarded", afterCancel: "discarded", attempts: 2, maxAfterRetry: 3, triesAfterwork: 2,
		stand: func(t *testing.T, f *fixture, q *store.Queue, job store.NewJob) int64 {
			id := f.worked(t, q, job, understudy.Outcome{Verdict: understudy.Retried, Error: "no"})
			record(t, q, understudy.Outcome{Job: held(t, q, []int64{id}, job.Kind)[0], Verdict: understudy.Discarded, Error: "no"})
			return id
		},
	}, {
		name: "cancelled while it waited", cancel: "cancelled", afterCancel: "cancelled", maxAfterRetry: 2,
		stand: func(t *testing.T, f *fixture, _ *store.Queue, job store.NewJob) int64 {
			id := mustEnqueue(t, f, job)
			if _, err := f.Cancel(t.Context(), id); err != nil {
				t.Fatal(err)
			}
			return id
		},
	}, {
		name: "cancelled while it ran", cancel: "cancelled", afterCancel: "cancelled", attempts: 1, maxAfterRetry: 2, triesAfterwork: 1,
		stand: func(t *testing.T, f *fixture, q *store.Queue, job store.NewJob) int64 {
			return f.worked(t, q, job, understudy.Outcome{Verdict: understudy.Cancelled})
		},
	},
}

// worked is a job with one outcome.
func (f *fixture) worked(t *testing.T, q *store.Queue, job store.NewJob, o understudy.Outcome) int64 {
	t.Helper()
	id := mustEnqueue(t, f, job)
	o.Job = held(t, q, []int64{id}, job.Kind)[0]
	record(t, q, o)
	return id
}

// makeDue makes it seem that a job's time has come.
func (f *fixture) makeDue(t testing.TB, ids ...int64) {
	t.Helper()
	tx := f.begin(t)
	f.in(t, tx, "UPDATE {schema}.open_jobs SET scheduled_at = scheduled_at - interval '100 days' WHERE id = ANY ($1)", ids)
	f.in(t, tx, "UPDATE {schema}.later SET run_at = run_at - interval '100 days' WHERE job_id = ANY ($1)", ids)
	commit(t, tx)
}

func TestCancelOfAJobHoweverItStands(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	q := f.epoch(t)
	for _, c := range standings {
		t.Run(c.name, func(t *testing.T) {
			id := c.stand(t, f, q, store.NewJob{Kind: c.name, MaxAttempts: 2})
			before := f.job(t, id)
			state, err := f.Cancel(t.Context(), id)
			if err != nil || state != c.cancel {
				t.Errorf("cancel returned %s, error %v; want %s", state, err, c.cancel)
			}
			row := f.job(t, id)
			if row.State != c.afterCancel || row.CancelRequested != (c.afterCancel == "running") {
				t.Errorf("the job is %s, cancellation requested: %t", row.State, row.CancelRequested)
			}
			if !before.State.Final() && c.afterCancel == "cancelled" && (row.FinalizedAt == nil || row.WorkerID != "") {
				t.Errorf("finalized at %v by %q", row.FinalizedAt, row.WorkerID)
			}
			same := cmpopts.IgnoreFields(store.JobRow{}, "State", "FinalizedAt", "CancelRequested")
			if diff := cmp.Diff(before, row, same); diff != "" {
				t.Errorf("cancel changed more than the state (-before +after):\n%s", diff)
			}
			f.check(t)
			if jobs := claim(t, q, 10, c.name); len(jobs) != 0 {
				t.Errorf("claimed %v", idsOf(jobs))
			}
		})
	}
}

func TestRetryOfAJobHoweverItStands(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	q := f.epoch(t)
	for _, c := range standings {
		t.Run(c.name, func(t *testing.T) {
			id := c.stand(t, f, q, store.NewJob{Kind: c.name, MaxAttempts: 2, UniqueKey: "k"})
			before := f.job(t, id)
			state, err := f.Retry(t.Context(), id)
			f.check(t)
			if c.retry == "" {
				f.wantAgain(t, q, before, state, err, c.attempts, c.maxAfterRetry, c.triesAfterwork)
				return
			}
			wantError(t, err, c.retry)
			if refused := refusal(t, err); refused.NotFound() || refused.OfCompleted() != (before.State == "completed") {
				t.Errorf("the refusal is %+v", refused)
			}
			if diff := cmp.Diff(before, f.job(t, id)); diff != "" {
				t.Errorf("a refused retry changed something (-before +after):\n%s", diff)
			}
		})
	}
}

func TestRetryCompletedDoesAsRetryAndToACompletedJobToo(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	q := f.epoch(t)
	for _, c := range standings {
		t.Run(c.name, func(t *testing.T) {
			id := c.stand(t, f, q, store.NewJob{Kind: c.name, MaxAttempts: 2, UniqueKey: "k"})
			before := f.job(t, id)
			state, err := f.RetryCompleted(t.Context(), id)
			f.check(t)
			if c.retry == "" || before.State == "completed" {
				f.wantAgain(t, q, before, state, err, c.attempts, c.maxAfterRetry, c.triesAfterwork)
				return
			}
			wantError(t, err, c.retry)
			if diff := cmp.Diff(before, f.job(t, id)); diff != "" {
				t.Errorf("a refused retry changed something (-before +after):\n%s", diff)
			}
		})
	}
}

// wantAgain checks that a job was made due, and works it.
func (f *fixture) wantAgain(t *testing.T, q *store.Queue, before store.JobRow, state understudy.State, err error, attempts, maxAttempts, tries int) {
	t.Helper()
	if err != nil || state != understudy.StateAvailable {
		t.Fatalf("retry returned %s, error %v", state, err)
	}
	row := f.job(t, before.ID)
	if row.State != "available" || row.Attempt != attempts || row.MaxAttempts != maxAttempts || len(row.Attempts) != tries ||
		row.FinalizedAt != nil || row.Result != nil || row.WorkerID != "" || row.UniqueKey != "k" || row.Losses != 0 {
		t.Errorf("the job is %+v", row)
	}
	if !row.CreatedAt.Equal(before.CreatedAt) {
		t.Errorf("created at %s, was %s", row.CreatedAt, before.CreatedAt)
	}
	job := held(t, q, []int64{before.ID}, before.Kind)[0]
	if job.Attempt != attempts+1 {
		t.Errorf("attempt %d runs, want %d", job.Attempt, attempts+1)
	}
	completed(t, q, job)
}

func TestARefusedRetryOfACompletedJobSaysWhatToCall(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	q := f.epoch(t)
	id := f.worked(t, q, store.NewJob{Kind: "a"}, understudy.Outcome{Verdict: understudy.Completed})
	_, err := f.pool.Exec(t.Context(), f.sql("SELECT {schema}.retry($1)"), id)
	var pgErr *pgconn.PgError
	if !errors.As(err, &pgErr) || pgErr.Code != "55006" {
		t.Fatalf("error is %v", err)
	}
	_, call, found := strings.Cut(pgErr.Hint, ": ")
	if !found || call != fmt.Sprintf("SELECT %s.retry_completed(%d)", pgx.Identifier{f.schema}.Sanitize(), id) && call != fmt.Sprintf("SELECT %s.retry_completed(%d)", f.schema, id) {
		t.Fatalf("hint is %q", pgErr.Hint)
	}
	f.exec(t, call)
	if state := f.state(t, id); state != "available" {
		t.Errorf("after what the hint says the job is %s", state)
	}
}

func TestSteeringAnUnknownJobSaysSo(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	for verb, steer := range map[string]func() error{
		"cancel": func() error { _, err := f.Cancel(t.Context(), 4711); return err },
		"retry":  func() error { _, err := f.Retry(t.Context(), 4711); return err },
		"again":  func() error { _, err := f.RetryCompleted(t.Context(), 4711); return err },
		"":       func() error { _, err := f.Job(t.Context(), 4711); return err },
	} {
		err := steer()
		wantError(t, err, "there is no job 4711")
		if !refusal(t, err).NotFound() {
			t.Errorf("%s: the refusal is no NotFound", verb)
		}
	}
}

func TestRetryOntoATakenKeyIsRefused(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	q := f.epoch(t)
	unique := store.NewJob{Kind: "a", UniqueKey: "k"}
	id := f.worked(t, q, unique, understudy.Outcome{Verdict: understudy.Discarded, Error: "no"})
	before := f.job(t, id)
	holder := mustEnqueue(t, f, unique)
	_, err := f.Retry(t.Context(), id)
	want := &store.Refusal{Code: "23505", Message: "retry: the unique key of job 1 is taken by job 2, which is unfinished"}
	if diff := cmp.Diff(want, refusal(t, err)); diff != "" {
		t.Errorf("refusal (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(before, f.job(t, id)); diff != "" {
		t.Errorf("a refused retry changed something (-before +after):\n%s", diff)
	}
	if _, err := f.Cancel(t.Context(), holder); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Retry(t.Context(), id); err != nil {
		t.Error(err)
	}
}

func TestSteeringIsPartOfItsTransaction(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	q := f.epoch(t)
	waiting, running := mustEnqueue(t, f, store.NewJob{Kind: "b"}), mustEnqueue(t, f, store.NewJob{Kind: "a"})
	held(t, q, []int64{running}, "a")
	before := f.snapshot(t)
	tx := f.begin(t)
	f.in(t, tx, "SELECT {schema}.cancel($1), {schema}.cancel($2)", waiting, running)
	f.in(t, tx, "SELECT {schema}.retry($1)", waiting)
	rollback(t, tx)
	if diff := cmp.Diff(before, f.snapshot(t)); diff != "" {
		t.Errorf("a transaction that was rolled back changed something (-before +after):\n%s", diff)
	}
}

func TestCancellationsAreListedUntilTheJobEnds(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	q, other := f.epoch(t), f.epoch(t)
	ids := f.enqueue(t, store.NewJob{Kind: "a"}, store.NewJob{Kind: "a"}, store.NewJob{Kind: "a"})
	jobs := held(t, q, ids, "a")
	for _, id := range ids[:2] {
		if _, err := f.Cancel(t.Context(), id); err != nil {
			t.Fatal(err)
		}
	}
	for _, step := range []struct {
		outcome understudy.Outcome
		want    []int64
	}{
		{understudy.Outcome{Job: jobs[2], Verdict: understudy.Released}, ids[:2]},
		{understudy.Outcome{Job: jobs[0], Verdict: understudy.Retried, Error: "no"}, ids[1:2]},
		{understudy.Outcome{Job: jobs[1], Verdict: understudy.Cancelled}, []int64{}},
	} {
		record(t, q, step.outcome)
		for _, q := range []*store.Queue{q, other} {
			found, err := q.Reconcile(t.Context())
			if diff := cmp.Diff(step.want, found.CancelRequested); diff != "" || err != nil {
				t.Errorf("after job %d was %s, to be cancelled (-want +got):\n%s, error %v", step.outcome.Job.ID, step.outcome.Verdict, diff, err)
			}
		}
	}
}

func TestOnlyARunningJobsCancellationIsNotified(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	q := f.epoch(t)
	e := f.listen(t)
	running := mustEnqueue(t, f, store.NewJob{Kind: "a"})
	waiting := mustEnqueue(t, f, store.NewJob{Kind: "b"})
	held(t, q, []int64{running}, "a")
	for _, id := range []int64{waiting, waiting, running} {
		if _, err := f.Cancel(t.Context(), id); err != nil {
			t.Fatal(err)
		}
	}
	f.exec(t, `NOTIFY "`+f.schema+`"`)
	if e.until(t, f.schema); e.cancels != 1 {
		t.Errorf("%d notifications, want 1", e.cancels)
	}
}
