package store_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/understudy-worker/understudy"
	"github.com/understudy-worker/understudy/store"
)

// snapshot is everything that a schema says of its jobs.
func (f *fixture) snapshot(t *testing.T) string {
	t.Helper()
	return get[string](t, f, `SELECT concat_ws(E'\n',
		(SELECT jsonb_agg(j ORDER BY id) FROM {schema}.open_jobs j), (SELECT jsonb_agg(j ORDER BY id) FROM {schema}.finished_jobs j),
		(SELECT jsonb_agg(r ORDER BY job_id) FROM {schema}.ready r), (SELECT jsonb_agg(l ORDER BY job_id) FROM {schema}.later l),
		(SELECT jsonb_agg(c ORDER BY number) FROM {schema}.claims c), (SELECT jsonb_agg(w ORDER BY id) FROM {schema}.workers w))`)
}

// ofEach are outcomes of a job, one for each verdict.
func ofEach(job *understudy.Job) []understudy.Outcome {
	var all []understudy.Outcome
	for _, verdict := range understudy.Verdicts {
		all = append(all, understudy.Outcome{Job: job, Verdict: verdict, Error: "late", Delay: time.Hour})
	}
	return all
}

// wantFenced records each verdict on a job that its worker no longer holds.
func wantFenced(t *testing.T, f *fixture, q *store.Queue, job *understudy.Job) {
	t.Helper()
	before := f.snapshot(t)
	for _, o := range ofEach(job) {
		if done := record(t, q, o); len(done.Fenced) != 1 || done.Fenced[0].Job != job || len(done.Deferred)+len(done.Rejected) != 0 {
			t.Errorf("%s: recorded %+v, want it fenced", o.Verdict, done)
		}
	}
	if done := record(t, q, ofEach(job)...); len(done.Fenced) != len(understudy.Verdicts) {
		t.Errorf("all at once: recorded %+v, want them fenced", done)
	}
	tx := f.begin(t)
	if err := store.CompleteTx(t.Context(), tx, job); err == nil {
		t.Error("the job was completed in a transaction")
	}
	rollback(t, tx)
	if diff := cmp.Diff(before, f.snapshot(t)); diff != "" {
		t.Errorf("a fenced write changed something (-before +after):\n%s", diff)
	}
}

func TestAfterARescueTheOldOwnerCanWriteNothing(t *testing.T) {
	t.Parallel()
	for _, claimStays := range []bool{false, true} {
		f := migrated(t)
		old, next := f.epoch(t), f.epoch(t)
		ids := f.enqueue(t, store.NewJob{Kind: "a"}, store.NewJob{Kind: "a"})
		job := held(t, old, ids, "a")[0]
		f.expireLease(t, old)
		want := 2
		if claimStays { // with the other job, which cannot be rescued yet
			tx := f.begin(t)
			f.in(t, tx, "SELECT FROM {schema}.open_jobs WHERE id = $1 FOR UPDATE", ids[1])
			want = 1
		}
		rescue(t, next, want)
		if n := get[int](t, f, "SELECT count(*) FROM {schema}.claims"); n != 2-want {
			t.Fatalf("%d claims are left", n)
		}
		wantFenced(t, f, old, job) // while the job waits

		again := claim(t, next, 1, "a")[0]
		wantFenced(t, f, old, job) // while another runs it

		completed(t, next, again)
		wantFenced(t, f, old, job) // when it is finished

		if _, err := f.RetryCompleted(t.Context(), job.ID); err != nil {
			t.Fatal(err)
		}
		wantFenced(t, f, old, job)
		wantFenced(t, f, next, again)
	}
}

func TestAnOldClaimOfTheSameWorkerIsFenced(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	q := f.epoch(t)
	ids := f.enqueue(t, store.NewJob{Kind: "a"}, store.NewJob{Kind: "a"})
	jobs := held(t, q, ids, "a") // the other keeps the claim alive
	first := jobs[0]
	record(t, q, understudy.Outcome{Job: first, Verdict: understudy.Released})
	wantFenced(t, f, q, first)
	second := held(t, q, ids[:1], "a")[0]
	wantFenced(t, f, q, first)
	// Both in one batch: the one that holds the job counts.
	done := record(t, q, understudy.Outcome{Job: first, Verdict: understudy.Completed}, understudy.Outcome{Job: second, Verdict: understudy.Completed},
		understudy.Outcome{Job: first, Verdict: understudy.Released})
	if len(done.Fenced) != 2 || done.Fenced[0].Job != first || done.Fenced[1].Job != first {
		t.Errorf("recorded %+v, want the first claim's fenced", done)
	}
	if state := f.state(t, ids[0]); state != understudy.StateCompleted {
		t.Errorf("the job is %s", state)
	}
	completed(t, q, jobs[1])
}

// loseClaim does what a server's crash does to a claim that was not yet on its
// disk: it never was.
func (f *fixture) loseClaim(t *testing.T, job *understudy.Job) {
	t.Helper()
	tx := f.begin(t)
	f.in(t, tx, "DELETE FROM {schema}.claims WHERE worker_id = $1 AND number = $2", job.Claim.Epoch, job.Claim.Number)
	f.in(t, tx, `INSERT INTO {schema}.ready (queue, kind, priority, run_at, job_ids, requeues)
		SELECT queue, kind, priority, scheduled_at, ARRAY[id], requeues FROM {schema}.open_jobs WHERE id = $1`, job.ID)
	commit(t, tx)
}

func TestAClaimThatTheServerLostIsFenced(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	q, other := f.epoch(t), f.epoch(t)
	id := mustEnqueue(t, f, store.NewJob{Kind: "a"})
	lost := held(t, q, []int64{id}, "a")[0]
	f.loseClaim(t, lost)
	wantFenced(t, f, q, lost)

	again := held(t, other, []int64{id}, "a")[0]
	if again.Claim.Requeues != lost.Claim.Requeues {
		t.Fatalf("requeues are %d and %d: the claim's row alone must tell them apart", lost.Claim.Requeues, again.Claim.Requeues)
	}
	wantFenced(t, f, q, lost)
	f.loseClaim(t, again)

	// The same worker may get it anew, and still have the first run under way.
	mine := held(t, q, []int64{id}, "a")[0]
	done := record(t, q, understudy.Outcome{Job: lost, Verdict: understudy.Completed}, understudy.Outcome{Job: mine, Verdict: understudy.Snoozed})
	if len(done.Fenced) != 1 || done.Fenced[0].Job != lost {
		t.Errorf("recorded %+v, want the lost claim's fenced", done)
	}
	if row := f.job(t, id); row.State.Final() {
		t.Errorf("the job is %+v", row)
	}
}

func TestAnotherEpochsJobIsFenced(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	q, other := f.epoch(t), f.epoch(t)
	ids := f.enqueue(t, store.NewJob{Kind: "a"}, store.NewJob{Kind: "b"})
	job := held(t, q, ids[:1], "a")[0]
	held(t, other, ids[1:], "b") // has a claim of the same number
	done := record(t, other, ofEach(job)...)
	if len(done.Fenced) != len(understudy.Verdicts) {
		t.Errorf("recorded %+v, want all fenced", done)
	}
	if state := f.state(t, ids[0]); state != understudy.StateRunning {
		t.Errorf("the job is %s", state)
	}
}

func TestOutcomesThatAreSentAgainTakeNothingFromTheirClaim(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	q := f.epoch(t)
	ids := f.enqueue(t, store.NewJob{Kind: "a"}, store.NewJob{Kind: "a"}, store.NewJob{Kind: "a"})
	jobs := held(t, q, ids, "a")
	first := understudy.Outcome{Job: jobs[0], Verdict: understudy.Completed}
	record(t, q, first)
	for range 3 { // as a worker does that has not seen the reply
		if done := record(t, q, first, first); len(done.Fenced) != 2 {
			t.Errorf("sent again: %+v", done)
		}
	}
	if found, err := q.Reconcile(t.Context()); err != nil || found.Reclaimed != 0 {
		t.Errorf("reconciled %+v, error %v", found, err)
	}
	f.check(t) // the others are still held
	completed(t, q, jobs[1:]...)
	if n := get[int](t, f, "SELECT count(*) FROM {schema}.claims"); n != 0 {
		t.Errorf("%d claims are left", n)
	}
}
