package store_test

import (
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/understudy-worker/understudy"
	"github.com/understudy-worker/understudy/store"
)

func TestARescueTakesTheJobsOfALostWorkerUncharged(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	lost, live := f.epoch(t), f.epoch(t)
	ids := f.enqueue(t, store.NewJob{Kind: "a"}, store.NewJob{Kind: "a"}, store.NewJob{Kind: "b"})
	jobs := held(t, lost, ids[:2], "a")
	held(t, live, ids[2:], "b")
	rescue(t, live, 0) // nobody's lease has run out
	f.expireLease(t, lost)
	rescue(t, live, 2)
	rescue(t, live, 0)

	row := f.job(t, ids[0])
	want := store.JobRow{
		ID: ids[0], Queue: "default", Kind: "a", Args: plain.Args, Metadata: plain.Metadata, State: "available", Priority: 1, MaxAttempts: 25,
		ScheduledAt: jobs[0].ScheduledAt, CreatedAt: jobs[0].CreatedAt, AttemptedAt: &jobs[0].AttemptedAt, Losses: 1, LastError: "worker lost",
		Attempts: []store.Attempt{{Number: 1, Worker: lost.Epoch(), Version: "1.0", Role: "active", Error: "worker lost"}},
	}
	if diff := cmp.Diff(want, row, cmpopts.IgnoreFields(store.Attempt{}, "StartedAt", "FinishedAt")); diff != "" {
		t.Errorf("a rescued job (-want +got):\n%s", diff)
	}
	if state := f.state(t, ids[2]); state != "running" {
		t.Errorf("the job of a live worker is %s", state)
	}
	workers, err := f.Workers(t.Context(), 10)
	if err != nil || workers[1].State != "lost" || workers[1].EndedAt == nil || workers[1].Live || !workers[0].Live {
		t.Errorf("workers are %+v, error %v", workers, err)
	}
	if n := get[int](t, f, "SELECT count(*) FROM {schema}.claims WHERE worker_id = $1", lost.Epoch()); n != 0 {
		t.Errorf("%d claims of the lost worker are left", n)
	}
	again := held(t, live, ids[:2], "a")
	if again[0].Attempt != 1 || again[0].Losses != 1 {
		t.Errorf("claimed again as attempt %d with %d losses", again[0].Attempt, again[0].Losses)
	}
}

// setBack makes it seem that the database's clock has been set back by an hour
// since an epoch was heard of last.
func (f *fixture) setBack(t testing.TB, q *store.Queue) {
	t.Helper()
	if n := f.exec(t, "UPDATE {schema}.workers SET heartbeat_at = heartbeat_at + interval '1 hour', lease_until = lease_until + interval '1 hour' WHERE id = $1", q.Epoch()); n != 1 {
		t.Fatalf("changed %d epochs", n)
	}
}

func TestAClockThatWasSetBackHoldsTheJobsOfADeadWorkerForALeaseAtMost(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	dead, rescuer := f.epoch(t, func(o *store.QueueOptions) { o.Lease = 2 * time.Second }), f.epoch(t)
	ids := f.enqueue(t, store.NewJob{Kind: "a"})
	held(t, dead, ids, "a")
	f.setBack(t, dead)
	rescue(t, rescuer, 0) // the lease may run yet
	const left = "SELECT extract(epoch FROM lease_until - clock_timestamp())::float8 FROM {schema}.workers WHERE id = $1"
	if seconds := get[float64](t, f, left, dead.Epoch()); seconds > 2 {
		t.Errorf("the lease of the dead worker lasts %v s more, want 2 at most", seconds)
	}
	eventually(t, "the lease is over", func() bool { return get[float64](t, f, left, dead.Epoch()) < 0 })
	rescue(t, rescuer, 1)
}

func TestAClockThatWasSetBackTakesNothingFromALiveWorker(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	live, rescuer := f.epoch(t), f.epoch(t)
	ids := f.enqueue(t, store.NewJob{Kind: "a"}, store.NewJob{Kind: "a"})
	held(t, live, ids, "a")
	f.setBack(t, live)
	for range 3 {
		rescue(t, rescuer, 0)
	}
	if err := live.Renew(t.Context(), false); err != nil {
		t.Errorf("the live worker cannot renew its lease: %v", err)
	}
	rescue(t, rescuer, 0)
	workers, err := f.Live(t.Context())
	if err != nil || len(workers) != 2 {
		t.Errorf("%d workers live, error %v; want both", len(workers), err)
	}
	for _, id := range ids {
		if row := f.job(t, id); row.State != understudy.StateRunning || row.Losses != 0 {
			t.Errorf("job %d is %s with %d losses", id, row.State, row.Losses)
		}
	}
}

func TestAWorkerIsNotLiveByALeaseOfBeforeTheClockWasSetBack(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	dead := f.epoch(t)
	f.setBack(t, dead)
	live, err := f.Live(t.Context())
	if err != nil || len(live) != 0 {
		t.Errorf("live are %+v, error %v", live, err)
	}
	counts, err := f.LiveWorkers(t.Context())
	if err != nil || len(counts) != 0 {
		t.Errorf("live by role are %+v, error %v", counts, err)
	}
	all, err := f.Workers(t.Context(), 10)
	if err != nil || len(all) != 1 || all[0].Live {
		t.Errorf("workers are %+v, error %v", all, err)
	}
}

func TestAJobThatLosesTooManyWorkersIsDiscarded(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	few := func(o *store.QueueOptions) { o.MaxLosses = 3 }
	rescuer := f.epoch(t, few)
	id := mustEnqueue(t, f, store.NewJob{Kind: "a"})
	for losses := 1; losses <= 3; losses++ {
		q := f.epoch(t, few)
		held(t, q, []int64{id}, "a")
		f.expireLease(t, q)
		rescue(t, rescuer, 1)
		row := f.job(t, id)
		if row.Losses != losses || row.State.Final() != (losses == 3) || row.LastError != "worker lost" || len(row.Attempts) != losses {
			t.Errorf("after %d losses the job is %+v", losses, row)
		}
		for _, a := range row.Attempts {
			if a.Number != 1 || a.Error != "worker lost" || a.FinishedAt == nil {
				t.Errorf("attempt %+v", a)
			}
		}
	}
	if row := f.job(t, id); row.State != "discarded" || row.FinalizedAt == nil {
		t.Errorf("the job is %+v", row)
	}
	if _, err := f.Retry(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if job := held(t, rescuer, []int64{id}, "a")[0]; job.Losses != 0 {
		t.Errorf("retried with %d losses: the next would discard it", job.Losses)
	}
}

func TestARescuedJobWhoseCancellationWasRequestedIsCancelled(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	lost, other := f.epoch(t), f.epoch(t)
	id := f.enqueue(t, store.NewJob{Kind: "a", UniqueKey: "k"})[0]
	held(t, lost, []int64{id}, "a")
	if _, err := f.Cancel(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	f.expireLease(t, lost)
	rescue(t, other, 1)
	if row := f.job(t, id); row.State != "cancelled" || row.LastError != "worker lost" || row.WorkerID != lost.Epoch() {
		t.Errorf("the job is %+v", row)
	}
}

func TestWhatAWorkerLeftThatIsGoneIsRescued(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	other := f.epoch(t)
	for name, leave := range map[string]string{
		"ended":           "UPDATE {schema}.workers SET state = 'ended', ended_at = now() WHERE id = $1",
		"its row is gone": "DELETE FROM {schema}.workers WHERE id = $1",
	} {
		q := f.epoch(t)
		ids := f.enqueue(t, store.NewJob{Kind: "a"})
		held(t, q, ids, "a")
		f.exec(t, leave, q.Epoch())
		rescue(t, other, 1)
		f.check(t)
		if row := f.job(t, ids[0]); row.State != "available" || row.Losses != 1 {
			t.Errorf("%s: the job is %+v", name, row)
		}
		completed(t, other, held(t, other, ids, "a")...)
	}
}

func TestADrainingWorkerKeepsItsJobs(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	q := f.epoch(t)
	ids := f.enqueue(t, store.NewJob{Kind: "a"})
	jobs := held(t, q, ids, "a")
	if err := q.Renew(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	rescue(t, f.epoch(t), 0)
	completed(t, q, jobs...)
}

func TestRescuersDoNotDouble(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	const jobs, dead, rescuers = 600, 3, 6
	f.enqueue(t, noops(jobs, 1)...)
	var epochs []*store.Queue
	for range dead {
		q := f.epoch(t)
		epochs = append(epochs, q)
		claim(t, q, jobs/dead, "noop0")
	}
	for _, q := range epochs {
		f.expireLease(t, q)
	}
	var mu sync.Mutex
	var total int
	var work sync.WaitGroup
	for range rescuers {
		q := f.epoch(t)
		work.Go(func() {
			for range 10 {
				n, err := q.Rescue(t.Context())
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				total += n
				mu.Unlock()
			}
		})
	}
	work.Wait()
	if total != jobs {
		t.Errorf("%d jobs were rescued, want %d", total, jobs)
	}
	if n := get[int](t, f, "SELECT count(*) FROM {schema}.jobs WHERE state = 'available' AND losses = 1 AND attempt = 0"); n != jobs {
		t.Errorf("%d jobs wait with one loss, want %d", n, jobs)
	}
}

func TestARescueOfAnotherSchemaTouchesNothingHere(t *testing.T) {
	t.Parallel()
	f, other := migrated(t), migrated(t)
	q := f.epoch(t)
	ids := f.enqueue(t, store.NewJob{Kind: "a"})
	held(t, q, ids, "a")
	f.expireLease(t, q)
	rescue(t, other.epoch(t), 0)
	if state := f.state(t, ids[0]); state != understudy.StateRunning {
		t.Errorf("the job is %s", state)
	}
}
