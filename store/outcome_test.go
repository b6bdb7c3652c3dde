package store_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/understudy-worker/understudy"
	"github.com/understudy-worker/understudy/store"
)

// outcomes are the verdicts on a job that failed once before, and what becomes
// of it: the row, and how long from now it is due.
var outcomes = []struct {
	name    string
	outcome understudy.Outcome
	result  any
	cancel  bool // somebody asked to cancel the job while it ran
	want    store.JobRow
	tries   []string // the errors of all its attempts
	dueIn   time.Duration
}{
	{
		name: "completed", outcome: understudy.Outcome{Verdict: understudy.Completed}, result: map[string]int{"n": 1},
		want:  store.JobRow{State: "completed", Attempt: 2, Result: json.RawMessage(`{"n": 1}`), LastError: "first"},
		tries: []string{"first", ""},
	}, {
		name: "completed without a result", outcome: understudy.Outcome{Verdict: understudy.Completed},
		want:  store.JobRow{State: "completed", Attempt: 2, LastError: "first"},
		tries: []string{"first", ""},
	}, {
		name: "discarded", outcome: understudy.Outcome{Verdict: understudy.Discarded, Error: "no use"}, result: "not kept",
		want:  store.JobRow{State: "discarded", Attempt: 2, LastError: "no use"},
		tries: []string{"first", "no use"},
	}, {
		name: "cancelled", outcome: understudy.Outcome{Verdict: understudy.Cancelled, Error: "told to stop"},
		want:  store.JobRow{State: "cancelled", Attempt: 2, LastError: "told to stop"},
		tries: []string{"first", "told to stop"},
	}, {
		name: "cancelled without an error", outcome: understudy.Outcome{Verdict: understudy.Cancelled},
		want:  store.JobRow{State: "cancelled", Attempt: 2, LastError: "cancelled"},
		tries: []string{"first", "cancelled"},
	}, {
		name: "retried", outcome: understudy.Outcome{Verdict: understudy.Retried, Error: "second", Delay: time.Hour},
		want:  store.JobRow{State: "retryable", Attempt: 2, LastError: "second"},
		tries: []string{"first", "second"}, dueIn: time.Hour,
	}, {
		name: "retried at once", outcome: understudy.Outcome{Verdict: understudy.Retried, Error: "second"},
		want:  store.JobRow{State: "available", Attempt: 2, LastError: "second"},
		tries: []string{"first", "second"},
	}, {
		name: "retried with a negative delay", outcome: understudy.Outcome{Verdict: understudy.Retried, Error: "second", Delay: -time.Hour},
		want:  store.JobRow{State: "available", Attempt: 2, LastError: "second"},
		tries: []string{"first", "second"},
	}, {
		name: "snoozed", outcome: understudy.Outcome{Verdict: understudy.Snoozed, Delay: time.Minute},
		want:  store.JobRow{State: "scheduled", Attempt: 1, LastError: "first"},
		tries: []string{"first"}, dueIn: time.Minute,
	}, {
		name: "snoozed for as long as can be", outcome: understudy.Outcome{Verdict: understudy.Snoozed, Delay: 1<<63 - 1},
		want:  store.JobRow{State: "scheduled", Attempt: 1, LastError: "first"},
		tries: []string{"first"}, dueIn: 1<<63 - 1,
	}, {
		name: "released", outcome: understudy.Outcome{Verdict: understudy.Released, Delay: time.Hour},
		want:  store.JobRow{State: "available", Attempt: 1, LastError: "first"},
		tries: []string{"first"},
	},

	// Once a cancellation was requested, nothing runs the job again.
	{
		name: "completed, to be cancelled", outcome: understudy.Outcome{Verdict: understudy.Completed}, cancel: true,
		want:  store.JobRow{State: "completed", Attempt: 2, LastError: "first"},
		tries: []string{"first", ""},
	}, {
		name: "discarded, to be cancelled", outcome: understudy.Outcome{Verdict: understudy.Discarded, Error: "no use"}, cancel: true,
		want:  store.JobRow{State: "cancelled", Attempt: 2, LastError: "no use"},
		tries: []string{"first", "no use"},
	}, {
		name: "cancelled, to be cancelled", outcome: understudy.Outcome{Verdict: understudy.Cancelled, Error: "told to stop"}, cancel: true,
		want:  store.JobRow{State: "cancelled", Attempt: 2, LastError: "told to stop"},
		tries: []string{"first", "told to stop"},
	}, {
		name: "retried, to be cancelled", outcome: understudy.Outcome{Verdict: understudy.Retried, Error: "second", Delay: time.Hour}, cancel: true,
		want:  store.JobRow{State: "cancelled", Attempt: 2, LastError: "second"},
		tries: []string{"first", "second"},
	}, {
		name: "snoozed, to be cancelled", outcome: understudy.Outcome{Verdict: understudy.Snoozed, Delay: time.Hour}, cancel: true,
		want:  store.JobRow{State: "cancelled", Attempt: 2, LastError: "cancelled"},
		tries: []string{"first", "cancelled"},
	}, {
		name: "released, to be cancelled", outcome: understudy.Outcome{Verdict: understudy.Released}, cancel: true,
		want:  store.JobRow{State: "cancelled", Attempt: 1, LastError: "first"},
		tries: []string{"first"},
	},
}

func TestEachVerdictLeavesTheJobAsItShould(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	q := f.epoch(t)
	for _, c := range outcomes {
		t.Run(c.name, func(t *testing.T) {
			id := mustEnqueue(t, f, store.NewJob{Kind: "a"})
			before := f.job(t, id)
			record(t, q, understudy.Outcome{Job: held(t, q, []int64{id}, "a")[0], Verdict: understudy.Retried, Error: "first"})
			job := held(t, q, []int64{id}, "a")[0]
			if c.result != nil {
				if err := job.SetResult(c.result); err != nil {
					t.Fatal(err)
				}
			}
			if c.cancel {
				if state, err := f.Cancel(t.Context(), id); err != nil || state != "running" || !f.job(t, id).CancelRequested {
					t.Fatalf("cancel: %s, error %v", state, err)
				}
			}
			o := c.outcome
			o.Job = job
			now := get[time.Time](t, f, "SELECT clock_timestamp()")
			if done := record(t, q, o); !cmp.Equal(done, understudy.Recorded{}) {
				t.Fatalf("recorded %+v", done)
			}
			row := f.job(t, id)
			want := c.want
			want.ID, want.Queue, want.Kind, want.Args, want.Metadata = id, "default", "a", before.Args, before.Metadata
			want.Priority, want.MaxAttempts = 1, 25
			charged := len(c.tries) == 2
			if row.State.Final() && charged {
				want.WorkerID, want.WorkerVersion, want.WorkerRole = q.Epoch(), "1.0", "active"
			}
			ignore := cmpopts.IgnoreFields(store.JobRow{}, "ScheduledAt", "CreatedAt", "AttemptedAt", "FinalizedAt", "Attempts")
			if diff := cmp.Diff(want, row, ignore); diff != "" {
				t.Errorf("row (-want +got):\n%s", diff)
			}
			wantAttempts(t, row, q, c.tries)
			wantTimes(t, row, job, now, c.dueIn, charged)
			if !row.State.Final() { // out of the way of the next
				if _, err := f.Cancel(t.Context(), id); err != nil {
					t.Fatal(err)
				}
			}
			f.check(t)
		})
	}
	if n := get[int](t, f, "SELECT count(*) FROM {schema}.claims"); n != 0 {
		t.Errorf("%d claims are left of jobs that are all recorded", n)
	}
}

// wantAttempts checks the list of attempts, whose errors are given.
func wantAttempts(t *testing.T, row store.JobRow, q *store.Queue, tries []string) {
	t.Helper()
	want := []store.Attempt{}
	for i, err := range tries {
		want = append(want, store.Attempt{Number: i + 1, Worker: q.Epoch(), Version: "1.0", Role: "active", Error: err})
	}
	if diff := cmp.Diff(want, row.Attempts, cmpopts.IgnoreFields(store.Attempt{}, "StartedAt", "FinishedAt")); diff != "" {
		t.Errorf("attempts (-want +got):\n%s", diff)
	}
	for i, a := range row.Attempts {
		if a.StartedAt == nil || a.FinishedAt == nil || a.FinishedAt.Before(*a.StartedAt) {
			t.Errorf("attempt %d went from %v to %v", i, a.StartedAt, a.FinishedAt)
		}
	}
}

// wantTimes checks the times of a job that was recorded at now or after.
func wantTimes(t *testing.T, row store.JobRow, job *understudy.Job, now time.Time, dueIn time.Duration, charged bool) {
	t.Helper()
	switch {
	case row.State.Final():
		if row.FinalizedAt == nil || row.FinalizedAt.Before(now) {
			t.Errorf("finalized at %v, recorded after %s", row.FinalizedAt, now)
		}
		if !row.ScheduledAt.Equal(job.ScheduledAt) {
			t.Errorf("scheduled at %s, was due at %s", row.ScheduledAt, job.ScheduledAt)
		}
	case row.FinalizedAt != nil:
		t.Errorf("finalized at %v", row.FinalizedAt)
	case row.LastError == "first" && dueIn == 0: // released
		if !row.ScheduledAt.Equal(job.ScheduledAt) {
			t.Errorf("scheduled at %s, its place was %s", row.ScheduledAt, job.ScheduledAt)
		}
	default:
		if late := row.ScheduledAt.Sub(now.Add(dueIn)); late < -time.Second || late > time.Minute {
			t.Errorf("due at %s, want %s after %s", row.ScheduledAt, dueIn, now)
		}
	}
	if charged && !row.AttemptedAt.Equal(job.AttemptedAt) {
		t.Errorf("attempted at %s, want %s", row.AttemptedAt, job.AttemptedAt)
	}
}

func TestAttemptsAreKeptAHundredAtTheMost(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	q := f.epoch(t)
	id := mustEnqueue(t, f, store.NewJob{Kind: "a", MaxAttempts: 1000})
	for range 105 {
		record(t, q, understudy.Outcome{Job: held(t, q, []int64{id}, "a")[0], Verdict: understudy.Retried, Error: "no"})
	}
	row := f.job(t, id)
	if n := len(row.Attempts); n != 100 || row.Attempts[0].Number != 6 || row.Attempts[99].Number != 105 {
		t.Errorf("%d attempts are kept, from %+v", n, row.Attempts[0])
	}
	completed(t, q, held(t, q, []int64{id}, "a")...)
	if row = f.job(t, id); len(row.Attempts) != 100 || row.Attempts[99].Number != 106 || row.Attempt != 106 {
		t.Errorf("%d attempts are kept, to %+v", len(row.Attempts), row.Attempts[99])
	}
}
