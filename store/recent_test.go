package store_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/understudy-worker/understudy"
	"github.com/understudy-worker/understudy/store"
)

func TestRecentJobsAreThoseThatBeganOrEndedLast(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	queue := f.epoch(t)
	ids := f.enqueue(t, store.NewJob{Kind: "a"}, store.NewJob{Kind: "a"}, store.NewJob{Kind: "b"}, store.NewJob{Kind: "c"})
	first := held(t, queue, ids[:2], "a")
	record(t, queue, understudy.Outcome{Job: first[0], Verdict: understudy.Completed})
	record(t, queue, understudy.Outcome{Job: first[1], Verdict: understudy.Discarded, Error: "no"})
	held(t, queue, ids[2:3], "b") // and nobody works c

	type seen struct {
		ID            int64
		Kind          string
		State         understudy.State
		Version, Role string
	}
	for limit, want := range map[int][]seen{
		10: {
			{ids[2], "b", understudy.StateRunning, "1.0", "active"},
			{ids[1], "a", understudy.StateDiscarded, "1.0", "active"},
			{ids[0], "a", understudy.StateCompleted, "1.0", "active"},
		},
		1: {{ids[2], "b", understudy.StateRunning, "1.0", "active"}},
	} {
		jobs, err := f.RecentJobs(t.Context(), limit)
		if err != nil {
			t.Fatal(err)
		}
		var got []seen
		for _, j := range jobs {
			got = append(got, seen{j.ID, j.Kind, j.State, j.WorkerVersion, j.WorkerRole})
			if running := j.State == understudy.StateRunning; j.AttemptedAt == nil || running != (j.FinalizedAt == nil) {
				t.Errorf("job %d, %s: attempted at %v, finalized at %v", j.ID, j.State, j.AttemptedAt, j.FinalizedAt)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("the last %d (-want +got):\n%s", limit, diff)
		}
	}
}

func TestAJobThatNobodyWorkedIsRecentWhenItIsCancelled(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	ids := f.enqueue(t, store.NewJob{Kind: "a"})
	if _, err := f.Cancel(t.Context(), ids[0]); err != nil {
		t.Fatal(err)
	}
	jobs, err := f.RecentJobs(t.Context(), 10)
	if err != nil || len(jobs) != 1 || jobs[0].AttemptedAt != nil || jobs[0].At() == nil || jobs[0].WorkerVersion != "" {
		t.Errorf("jobs %+v, error %v", jobs, err)
	}
}
