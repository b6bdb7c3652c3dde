package store_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/understudy-worker/understudy"
	"github.com/understudy-worker/understudy/store"
)

func TestAFateNamesTheWorkerThatHasTheJobOrFinishedIt(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	q := f.epoch(t, func(o *store.QueueOptions) { o.TemplateHash = "abc" })
	ids := f.enqueue(t, store.NewJob{Kind: "a"}, store.NewJob{Kind: "a"}, store.NewJob{Kind: "a"}, store.NewJob{Kind: "b"})
	jobs := claim(t, q, 3, "a")
	record(t, q, understudy.Outcome{Job: jobs[0], Verdict: understudy.Completed},
		understudy.Outcome{Job: jobs[1], Verdict: understudy.Discarded, Error: "boom"})
	got, err := f.Fates(t.Context(), append(ids, ids[3]+1000))
	if err != nil {
		t.Fatal(err)
	}
	by := store.Fate{Attempt: 1, WorkerID: q.Epoch(), Pod: t.Name(), Version: "1.0", Role: "active", TemplateHash: "abc"}
	completed, discarded, running := by, by, by
	completed.ID, completed.State = ids[0], understudy.StateCompleted
	discarded.ID, discarded.State, discarded.LastError = ids[1], understudy.StateDiscarded, "boom"
	running.ID, running.State = ids[2], understudy.StateRunning
	waiting := store.Fate{ID: ids[3], State: understudy.StateAvailable}
	if diff := cmp.Diff([]store.Fate{completed, discarded, running, waiting}, got); diff != "" {
		t.Errorf("fates (-want +got):\n%s", diff)
	}
}

func TestOnlyWorkersWhoseLeaseRunsAreLive(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	f.epoch(t, func(o *store.QueueOptions) { o.Lease = time.Millisecond })
	ended, live := f.epoch(t), f.epoch(t)
	if err := ended.End(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "one worker alone is live", func() bool {
		rows, err := f.Live(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return len(rows) == 1 && rows[0].ID == live.Epoch() && rows[0].Live
	})
}

func TestNowIsTheDatabasesClock(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	var before, after time.Time
	const clock = "SELECT clock_timestamp()"
	if err := f.pool.QueryRow(t.Context(), clock).Scan(&before); err != nil {
		t.Fatal(err)
	}
	now, err := f.Now(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := f.pool.QueryRow(t.Context(), clock).Scan(&after); err != nil {
		t.Fatal(err)
	}
	if now.Before(before) || now.After(after) {
		t.Errorf("it is %s, want from %s to %s", now, before, after)
	}
}
