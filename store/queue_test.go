package store_test

import (
	"testing"

	"github.com/understudy-worker/understudy"
	"github.com/understudy-worker/understudy/store"
)

func TestAJobIsClaimedOnceAndCompletedOnce(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	q := f.epoch(t)
	ids := f.enqueue(t, store.NewJob{Kind: "a", Args: map[string]int{"n": 1}}, store.NewJob{Kind: "a"}, store.NewJob{Kind: "b"})
	jobs := claim(t, q, 10, "a")
	if len(jobs) != 2 || jobs[0].ID != ids[0] || jobs[1].ID != ids[1] || string(jobs[0].Args) != `{"n": 1}` {
		t.Fatalf("claimed %+v", jobs)
	}
	if again := claim(t, q, 10, "a"); len(again) != 0 {
		t.Fatalf("claimed twice: %+v", again)
	}
	if state := f.job(t, ids[0]).State; state != understudy.StateRunning {
		t.Fatalf("state is %s", state)
	}
	if err := jobs[0].SetResult("done"); err != nil {
		t.Fatal(err)
	}
	if done := record(t, q, understudy.Outcome{Job: jobs[0], Verdict: understudy.Completed}); len(done.Fenced) != 0 {
		t.Fatalf("fenced: %+v", done)
	}
	row := f.job(t, ids[0])
	if row.State != understudy.StateCompleted || string(row.Result) != `"done"` || row.Attempt != 1 || len(row.Attempts) != 1 || row.WorkerVersion != "1.0" {
		t.Fatalf("job is %+v", row)
	}
	record(t, q, understudy.Outcome{Job: jobs[1], Verdict: understudy.Retried, Error: "boom"})
	row = f.job(t, ids[1])
	if row.State != understudy.StateAvailable || row.LastError != "boom" || row.Attempt != 1 || len(row.Attempts) != 1 {
		t.Fatalf("job is %+v", row)
	}
	if done := record(t, q, understudy.Outcome{Job: jobs[0], Verdict: understudy.Completed}); len(done.Fenced) != 1 {
		t.Fatalf("completed twice: %+v", done)
	}
	if err := q.End(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestOneBatchMayFinishSomeJobsOfAClaimAndReturnTheRest(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	q := f.epoch(t)
	ids := f.enqueue(t, store.NewJob{Kind: "a"}, store.NewJob{Kind: "a"})
	jobs := claim(t, q, 10, "a")
	done := record(t, q,
		understudy.Outcome{Job: jobs[0], Verdict: understudy.Completed},
		understudy.Outcome{Job: jobs[1], Verdict: understudy.Released})
	if len(done.Fenced) != 0 {
		t.Fatalf("fenced: %+v", done.Fenced)
	}
	if again := claim(t, q, 10, "a"); len(again) != 1 || again[0].ID != ids[1] {
		t.Fatalf("claimed %+v, want the job that went back", again)
	}
}

// The claim that brought the job is still there, as it has another one: only
// requeues tells that the job has gone back to its queue since.
func TestAnOutcomeOfBeforeTheJobWentBackIsFencedThoughItsClaimIsThere(t *testing.T) {
	t.Parallel()
	for _, verdict := range understudy.Verdicts {
		t.Run(verdict.String(), func(t *testing.T) {
			t.Parallel()
			f := migrated(t)
			first, second := f.epoch(t), f.epoch(t)
			ids := f.enqueue(t, store.NewJob{Kind: "a"}, store.NewJob{Kind: "a"})
			held := claim(t, first, 2, "a")
			record(t, first, understudy.Outcome{Job: held[0], Verdict: understudy.Released})
			if again := claim(t, second, 2, "a"); len(again) != 1 || again[0].ID != ids[0] {
				t.Fatalf("claimed %+v", again)
			}
			before := f.job(t, ids[0])
			if done := record(t, first, understudy.Outcome{Job: held[0], Verdict: verdict, Error: "late"}); len(done.Fenced) != 1 {
				t.Errorf("recorded %+v, want it fenced", done)
			}
			if after := f.job(t, ids[0]); after.State != understudy.StateRunning || after.WorkerID != before.WorkerID || after.LastError != "" {
				t.Errorf("the job is %+v", after)
			}
		})
	}
}
