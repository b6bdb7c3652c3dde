package store_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/understudy-worker/understudy"
	"github.com/understudy-worker/understudy/store"
)

// effects is a fixture with a table that handlers write to.
func effects(t *testing.T) *fixture {
	t.Helper()
	f := migrated(t)
	f.exec(t, "CREATE TABLE {schema}.effects (job bigint)")
	return f
}

func TestAnEffectAndItsCompletionAreOne(t *testing.T) {
	t.Parallel()
	f := effects(t)
	q := f.epoch(t)
	ids := f.enqueue(t, store.NewJob{Kind: "a"}, store.NewJob{Kind: "a"})
	jobs := held(t, q, ids, "a")
	for i, job := range jobs {
		if err := job.SetResult(map[string]int{"n": i}); err != nil {
			t.Fatal(err)
		}
		tx := f.begin(t)
		f.in(t, tx, "INSERT INTO {schema}.effects VALUES ($1)", job.ID)
		if err := store.CompleteTx(t.Context(), tx, job); err != nil {
			t.Fatal(err)
		}
		if state := f.state(t, job.ID); state != understudy.StateRunning {
			t.Errorf("job %d is %s before the commit", job.ID, state)
		}
		if i == 0 {
			commit(t, tx)
		} else {
			rollback(t, tx)
		}
	}
	row := f.job(t, ids[0])
	if row.State != "completed" || row.Attempt != 1 || len(row.Attempts) != 1 || !cmp.Equal(row.Result, json.RawMessage(`{"n": 0}`)) ||
		row.WorkerID != q.Epoch() || row.WorkerVersion != "1.0" || row.WorkerRole != "active" || !row.AttemptedAt.Equal(jobs[0].AttemptedAt) {
		t.Errorf("the job whose transaction committed is %+v", row)
	}
	if state := f.state(t, ids[1]); state != "running" {
		t.Errorf("the job whose transaction was rolled back is %s", state)
	}
	if n := get[int](t, f, "SELECT count(*) FROM {schema}.effects"); n != 1 {
		t.Errorf("%d effects, want 1", n)
	}
	// What a worker records of them is no fenced write, and finishes the claim.
	done := record(t, q, understudy.Outcome{Job: jobs[0], Verdict: understudy.Completed},
		understudy.Outcome{Job: jobs[1], Verdict: understudy.Retried, Error: "the commit failed"})
	if !cmp.Equal(done, understudy.Recorded{}) {
		t.Errorf("recorded %+v", done)
	}
	if row := f.job(t, ids[1]); row.State != "available" || row.LastError != "the commit failed" {
		t.Errorf("the job whose transaction was rolled back is %+v", row)
	}
	if n := get[int](t, f, "SELECT count(*) FROM {schema}.claims"); n != 0 {
		t.Errorf("%d claims are left", n)
	}
}

func TestAnUnknownCommitIsNotRepeated(t *testing.T) {
	t.Parallel()
	f := effects(t)
	q := f.epoch(t)
	id := mustEnqueue(t, f, store.NewJob{Kind: "a"})
	job := held(t, q, []int64{id}, "a")[0]
	tx := f.begin(t)
	if err := store.CompleteTx(t.Context(), tx, job); err != nil {
		t.Fatal(err)
	}
	commit(t, tx)
	// The handler saw an error instead of the reply, and asks for another try.
	if done := record(t, q, understudy.Outcome{Job: job, Verdict: understudy.Retried, Error: "connection lost"}); !cmp.Equal(done, understudy.Recorded{}) {
		t.Errorf("recorded %+v", done)
	}
	if state := f.state(t, id); state != "completed" {
		t.Errorf("the job is %s", state)
	}
}

func TestCompleteTxOfARescuedJobIsFenced(t *testing.T) {
	t.Parallel()
	f := effects(t)
	q, other := f.epoch(t), f.epoch(t)
	id := mustEnqueue(t, f, store.NewJob{Kind: "a"})
	job := held(t, q, []int64{id}, "a")[0]
	f.expireLease(t, q)
	rescue(t, other, 1)
	held(t, other, []int64{id}, "a")
	tx := f.begin(t)
	f.in(t, tx, "INSERT INTO {schema}.effects VALUES ($1)", id)
	if err := store.CompleteTx(t.Context(), tx, job); !errors.Is(err, understudy.ErrFenced) {
		t.Errorf("error is %v", err)
	}
	if job.MarkedCompleted() {
		t.Error("the job is marked as completed")
	}
}

func TestCompleteTxTwiceIsFenced(t *testing.T) {
	t.Parallel()
	f := effects(t)
	q := f.epoch(t)
	job := held(t, q, f.enqueue(t, store.NewJob{Kind: "a"}), "a")[0]
	for _, want := range []error{nil, understudy.ErrFenced} {
		tx := f.begin(t)
		if err := store.CompleteTx(t.Context(), tx, job); !errors.Is(err, want) {
			t.Errorf("error is %v, want %v", err, want)
		}
		commit(t, tx)
	}
}

func TestCompleteTxOfAResultThatCannotBeStoredCompletesWithoutIt(t *testing.T) {
	t.Parallel()
	f := effects(t)
	q := f.epoch(t)
	f.exec(t, `ALTER TABLE {schema}.finished_jobs ADD CONSTRAINT in_test CHECK (result <> '"to the server alone"')`)
	for name, c := range map[string]struct {
		result any
		says   string
	}{
		"a NUL":                   {"\x00", `result contains \u0000, which Postgres cannot store`},
		"no JSON":                 {func() {}, "result cannot be made JSON: json: unsupported type: func()"},
		"what the server refuses": {"to the server alone", "result cannot be stored: ERROR: new row for relation \"finished_jobs_0\" violates check constraint \"in_test\""},
	} {
		job := held(t, q, f.enqueue(t, store.NewJob{Kind: "a"}), "a")[0]
		if err := job.SetResult(c.result); err != nil {
			t.Fatal(err)
		}
		tx := f.begin(t)
		f.in(t, tx, "INSERT INTO {schema}.effects VALUES ($1)", job.ID)
		if err := store.CompleteTx(t.Context(), tx, job); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		f.in(t, tx, "INSERT INTO {schema}.effects VALUES ($1)", job.ID) // the transaction goes on
		commit(t, tx)
		row := f.job(t, job.ID)
		if row.State != "completed" || row.Result != nil || !strings.HasPrefix(row.Warning, c.says) || row.LastError != "" {
			t.Errorf("%s: the job is %s with result %s, warning %q, error %q", name, row.State, row.Result, row.Warning, row.LastError)
		}
		if n := get[int](t, f, "SELECT count(*) FROM {schema}.effects WHERE job = $1", job.ID); n != 2 {
			t.Errorf("%s: %d of 2 effects", name, n)
		}
		done := record(t, q, understudy.Outcome{Job: job, Verdict: understudy.Completed})
		if len(done.Warned) != 1 || done.Warned[0].Warning != row.Warning || len(done.Fenced)+len(done.Rejected) > 0 {
			t.Errorf("%s: recorded %+v", name, done)
		}
	}
}

func TestCompleteTxThatTheServerRefusesIsAnErrorAndCompletesNothing(t *testing.T) {
	t.Parallel()
	f := effects(t)
	q := f.epoch(t)
	f.exec(t, "ALTER TABLE {schema}.finished_jobs ADD CONSTRAINT in_test CHECK (args <> '{}')")
	job := held(t, q, f.enqueue(t, store.NewJob{Kind: "a"}), "a")[0]
	if err := job.SetResult("fine"); err != nil {
		t.Fatal(err)
	}
	tx := f.begin(t)
	f.in(t, tx, "INSERT INTO {schema}.effects VALUES ($1)", job.ID)
	wantError(t, store.CompleteTx(t.Context(), tx, job), "in_test")
	rollback(t, tx)
	record(t, q, understudy.Outcome{Job: job, Verdict: understudy.Retried, Error: "in_test"})
	if n := get[int](t, f, "SELECT count(*) FROM {schema}.effects"); n != 0 || f.state(t, job.ID) != "available" {
		t.Errorf("%d effects, the job is %s", n, f.state(t, job.ID))
	}
}

func TestACompletionSurvivesTheLossOfItsWorkersRow(t *testing.T) {
	t.Parallel()
	f := effects(t)
	q := f.epoch(t)
	job := held(t, q, f.enqueue(t, store.NewJob{Kind: "a"}), "a")[0]
	f.exec(t, "DELETE FROM {schema}.workers")
	tx := f.begin(t)
	if err := store.CompleteTx(t.Context(), tx, job); err != nil {
		t.Fatal(err)
	}
	commit(t, tx)
	if state := f.state(t, job.ID); state != "completed" {
		t.Errorf("the job is %s", state)
	}
}
