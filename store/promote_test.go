package store_test

import (
	"testing"
	"time"

	"github.com/understudy-worker/understudy"
	"github.com/understudy-worker/understudy/store"
)

// promote runs one promotion, which must move so many jobs.
func promote(t testing.TB, q *store.Queue, want int) time.Duration {
	t.Helper()
	done, err := q.Promote(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if done.Promoted != want {
		t.Fatalf("promoted %d jobs, want %d", done.Promoted, want)
	}
	return done.NextDue
}

func TestAJobIsPromotedWhenItsTimeHasCome(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	q := f.epoch(t)
	if next := promote(t, q, 0); next >= 0 {
		t.Errorf("the next is due in %s, nothing is scheduled", next)
	}
	ids := f.enqueue(t,
		store.NewJob{Kind: "a", ScheduledAt: time.Now().Add(2 * time.Hour)},
		store.NewJob{Kind: "a", ScheduledAt: time.Now().Add(time.Hour), Priority: 2})
	if next := promote(t, q, 0); next < 59*time.Minute || next > time.Hour {
		t.Errorf("the next is due in %s, want an hour", next)
	}
	f.makeDue(t, ids[1])
	// Due but not promoted, it shows as available, and is not claimed yet.
	if state := f.state(t, ids[1]); state != "available" || len(claim(t, q, 10, "a")) != 0 {
		t.Errorf("the job that is due is %s", state)
	}
	f.check(t)
	heard := f.listen(t)
	if next := promote(t, q, 1); next < time.Hour || next > 2*time.Hour {
		t.Errorf("the next is due in %s, want two hours", next)
	}
	f.exec(t, `NOTIFY "`+f.schema+`"`)
	if heard.until(t, f.schema); heard.wakes != 1 {
		t.Errorf("%d wakes for a promotion, want 1", heard.wakes)
	}
	if row := f.job(t, ids[1]); row.State != "available" || row.Priority != 2 {
		t.Errorf("the promoted job is %+v", row)
	}
	held(t, f.epoch(t), ids[1:], "a") // the other epoch's claim may have been slow, and have a frontier
}

func TestAJobSoonDueIsClaimableSoonAfter(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	q := f.epoch(t)
	at := get[time.Time](t, f, "SELECT clock_timestamp() + interval '300 ms'")
	id := mustEnqueue(t, f, store.NewJob{Kind: "a", ScheduledAt: at})
	var job *understudy.Job
	eventually(t, "the job is promoted", func() bool {
		if _, err := q.Promote(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, job = range claim(t, q, 10, "a") {
		}
		return job != nil
	})
	if job.ID != id || job.AttemptedAt.Before(at) {
		t.Errorf("job %d, due at %s, was claimed at %s", job.ID, at, job.AttemptedAt)
	}
}

func TestMoreThanOnePromotionCanMoveIsSaidToBeDueNow(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	q := f.epoch(t)
	f.exec(t, `SELECT cardinality({schema}.enqueue_many(array_fill('a'::text, ARRAY[5001]), scheduled_ats => array_fill(now() + interval '1 hour', ARRAY[5001])))`)
	tx := f.begin(t)
	f.in(t, tx, "UPDATE {schema}.open_jobs SET scheduled_at = scheduled_at - interval '1 day'")
	f.in(t, tx, "UPDATE {schema}.later SET run_at = run_at - interval '1 day'")
	commit(t, tx)
	if next := promote(t, q, 5000); next != 0 {
		t.Errorf("the next is due in %s, want now", next)
	}
	if next := promote(t, q, 1); next >= 0 {
		t.Errorf("the next is due in %s, nothing is scheduled", next)
	}
}

func TestAJobOfTheFarFutureIsStillToCome(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	mustEnqueue(t, f, store.NewJob{Kind: "a", ScheduledAt: time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)})
	if next := promote(t, f.epoch(t), 0); next != 365*24*time.Hour {
		t.Errorf("the next is due in %s, want a year, after which to look again", next)
	}
}

func TestPromotersDoNotDouble(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	a, b := f.epoch(t), f.epoch(t)
	ids := f.enqueue(t, store.NewJob{Kind: "a", ScheduledAt: time.Now().Add(time.Hour)}, store.NewJob{Kind: "a", ScheduledAt: time.Now().Add(time.Hour)})
	f.makeDue(t, ids...)
	tx := f.begin(t) // a promotion under way
	f.in(t, tx, "SELECT FROM {schema}.later WHERE job_id = $1 FOR UPDATE", ids[0])
	if next := promote(t, a, 1); next != 0 {
		t.Errorf("the next is due in %s, want now", next)
	}
	rollback(t, tx)
	promote(t, b, 1)
	held(t, a, ids, "a")
}
