package store_test

import (
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/understudy-worker/understudy"
	"github.com/understudy-worker/understudy/store"
)

// ran counts what workers wrote of each job: verdicts that end it, and
// verdicts that charge an attempt and return it.
type ran struct {
	mu                sync.Mutex
	finished, charged map[int64]int
}

func TestCancelsThatRaceClaimsLoseAndDoubleNothing(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	const jobs, workers, cancellers = 600, 3, 4
	waiting := noops(jobs, 2)
	for i := range waiting {
		switch i % 3 {
		case 0:
			waiting[i].ScheduledAt = time.Now().Add(time.Duration(rand.N(2000)) * time.Millisecond)
		case 1:
			waiting[i].Priority = 1 + rand.N(4)
		}
	}
	ids := f.enqueue(t, waiting...)
	r := &ran{finished: map[int64]int{}, charged: map[int64]int{}}
	cancelled := make(map[int64]understudy.State)
	var work sync.WaitGroup
	for range workers {
		q := f.epoch(t)
		work.Go(func() { r.work(t, f, q) })
	}
	for c := range cancellers {
		work.Go(func() {
			for i, id := range ids {
				if i%cancellers != c && rand.N(4) > 0 { // some are cancelled by several
					continue
				}
				state, err := f.Cancel(t.Context(), id)
				if err != nil {
					t.Error(err)
					return
				}
				r.mu.Lock()
				cancelled[id] = state
				r.mu.Unlock()
			}
		})
	}
	work.Wait()
	f.check(t)
	for _, id := range ids {
		row, finished := f.job(t, id), r.finished[id]
		if !row.State.Final() || finished > 1 {
			t.Errorf("job %d is %s and was finished %d times by workers", id, row.State, finished)
		}
		// A cancellation that was requested may end it at a snooze, which counts as an attempt then.
		least := r.charged[id] + finished
		if n := len(row.Attempts); n < least || n > least+1 || finished == 1 && (n != least || row.WorkerID == "") {
			t.Errorf("job %d has %d attempts, workers wrote %d and finished it %d times; it was finished by %q", id, n, least, finished, row.WorkerID)
		}
		if said := cancelled[id]; said == "cancelled" && row.State != "cancelled" || said == "completed" && row.State != "completed" {
			t.Errorf("cancel said that job %d is %s, it is %s", id, said, row.State)
		}
	}
}

// work claims and ends jobs in every way until all are finished.
func (r *ran) work(t *testing.T, f *fixture, q *store.Queue) {
	for !t.Failed() { // until all jobs are finished
		if _, err := q.Promote(t.Context()); err != nil {
			t.Error(err)
			return
		}
		batch := claim(t, q, 1+rand.N(10), "noop0", "noop1")
		var outcomes []understudy.Outcome
		for _, job := range batch {
			verdict := understudy.Verdicts[rand.N(len(understudy.Verdicts))]
			outcomes = append(outcomes, understudy.Outcome{Job: job, Verdict: verdict, Error: "no", Delay: time.Duration(rand.N(3)) * time.Millisecond})
		}
		written := outcomes
		for len(outcomes) > 0 {
			done := record(t, q, outcomes...)
			if len(done.Fenced)+len(done.Rejected) > 0 {
				t.Errorf("recorded %+v", done)
				return
			}
			outcomes = done.Deferred
		}
		r.mu.Lock()
		for _, o := range written {
			switch {
			case o.Verdict.Final():
				r.finished[o.Job.ID]++
			case o.Verdict == understudy.Retried:
				r.charged[o.Job.ID]++
			}
		}
		r.mu.Unlock()
		if len(batch) == 0 && get[int](t, f, "SELECT count(*) FROM {schema}.open_jobs") == 0 {
			return
		}
	}
}

func TestRetriesThatRaceEachOtherAndClaimsDoubleNothing(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	q := f.epoch(t)
	id := f.worked(t, q, store.NewJob{Kind: "a"}, understudy.Outcome{Verdict: understudy.Completed})
	for range 40 {
		var calls sync.WaitGroup
		for i := range 6 {
			calls.Go(func() {
				var err error
				switch i % 3 {
				case 0:
					_, err = f.Retry(t.Context(), id)
				case 1:
					_, err = f.RetryCompleted(t.Context(), id)
				case 2:
					_, err = f.Cancel(t.Context(), id)
				}
				var refused *store.Refusal
				if err != nil && (!errors.As(err, &refused) || refused.NotFound()) {
					t.Errorf("steer: %v", err)
				}
			})
		}
		calls.Go(func() {
			for _, job := range claim(t, q, 10, "a") {
				if job.ID != id {
					t.Errorf("claimed job %d", job.ID)
				}
				record(t, q, understudy.Outcome{Job: job, Verdict: understudy.Completed})
			}
		})
		calls.Wait()
		f.check(t)
	}
}

func TestACancelThatMeetsAPromotionCancelsTheJob(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	q := f.epoch(t)
	id := mustEnqueue(t, f, store.NewJob{Kind: "a", ScheduledAt: time.Now().Add(time.Hour)})
	f.makeDue(t, id)
	release := f.holdInserts(t, "ready")
	var promotion, cancel sync.WaitGroup
	var promoteErr, err error
	promotion.Go(func() { _, promoteErr = q.Promote(t.Context()) })
	eventually(t, "the promotion waits between later and ready", func() bool { return f.waits(t) })
	var state understudy.State
	cancel.Go(func() { state, err = f.Cancel(t.Context(), id) })
	eventually(t, "the cancel waits for the promotion", func() bool {
		return get[bool](t, f, "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '-- name: cancel%' || $1 || '%')", f.schema)
	})
	release()
	promotion.Wait()
	cancel.Wait()
	if promoteErr != nil || err != nil || state != understudy.StateCancelled {
		t.Errorf("cancel returned %s, error %v, promotion %v", state, err, promoteErr)
	}
}

func TestACancelThatMeetsAClaimFindsTheJobRunning(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	q := f.epoch(t)
	id := mustEnqueue(t, f, store.NewJob{Kind: "a"})
	release := f.holdInserts(t, "claims")
	c := claimAsync(t, q, "a")
	eventually(t, "the claim waits with its rows locked", func() bool { return f.waits(t) })
	var state understudy.State
	var err error
	var call sync.WaitGroup
	call.Go(func() { state, err = f.Cancel(t.Context(), id) })
	eventually(t, "the cancel waits for the claim", func() bool {
		return get[bool](t, f, "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '-- name: cancel%' || $1 || '%')", f.schema)
	})
	release()
	c.Wait()
	if call.Wait(); err != nil || state != understudy.StateRunning || len(c.jobs) != 1 {
		t.Errorf("cancel returned %s, error %v; claimed %v", state, err, idsOf(c.jobs))
	}
}
