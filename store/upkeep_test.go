package store_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

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
	held(t, q, ids[1:], "a")
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

// finishedAgo completes jobs and makes it seem that it was that long ago: their
// slice, and all before it, are so much older.
func (f *fixture) finishedAgo(t *testing.T, q *store.Queue, ago string, jobs int) []int64 {
	t.Helper()
	f.enqueue(t, noops(jobs, 1)...)
	batch := claim(t, q, jobs, "noop0")
	completed(t, q, batch...)
	f.exec(t, "UPDATE {schema}.slices SET opened_at = opened_at - $1::interval, closed_at = closed_at - $1::interval", ago)
	return idsOf(batch)
}

func TestFinishedJobsArePrunedAfterTheRetention(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	q := f.epoch(t) // keeps them for an hour
	prune := func() {
		t.Helper()
		if err := q.Prune(t.Context()); err != nil {
			t.Fatal(err)
		}
		f.check(t)
	}
	var all [][]int64
	for range 12 { // two hours and more, in steps of a slice
		all = append(all, f.finishedAgo(t, q, "11 minutes", 10))
		prune()
	}
	left := map[int64]bool{}
	rows, err := f.Jobs(t.Context(), store.Filter{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range rows {
		left[row.ID] = true
	}
	for i, ids := range all {
		age := time.Duration(len(all)-i) * 11 * time.Minute
		kept := left[ids[0]]
		if age < time.Hour && !kept {
			t.Errorf("jobs that were finished %s ago are gone", age)
		}
		if age > 90*time.Minute && kept {
			t.Errorf("jobs that were finished %s ago are kept", age)
		}
	}
	f.exec(t, "UPDATE {schema}.slices SET opened_at = opened_at - interval '1 day', closed_at = closed_at - interval '1 day'")
	prune() // closes the last slice
	f.exec(t, "UPDATE {schema}.slices SET opened_at = opened_at - interval '1 day', closed_at = closed_at - interval '1 day'")
	prune()
	if n := get[int](t, f, "SELECT count(*) FROM {schema}.jobs"); n != 0 {
		t.Errorf("%d jobs are left after days", n)
	}
	if counts, err := f.Counts(t.Context()); err != nil || len(counts) != 0 {
		t.Errorf("counts are %v, error %v", counts, err)
	}
}

func TestAPruneThatComesLateKeepsWhatIsWithinTheRetention(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	q := f.epoch(t)
	f.finishedAgo(t, q, "10 hours", 5) // nobody pruned meanwhile
	fresh := f.finishedAgo(t, q, "0", 5)
	for range 3 {
		if err := q.Prune(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if n := get[int](t, f, "SELECT count(*) FROM {schema}.jobs WHERE id = ANY ($1)", fresh); n != 5 {
		t.Errorf("%d fresh jobs are left, want 5", n)
	}
}

func TestAReaderDelaysPruningAndIsNotHarmed(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	q := f.epoch(t)
	f.finishedAgo(t, q, "2 hours", 10)
	if err := q.Prune(t.Context()); err != nil { // closes the slice
		t.Fatal(err)
	}
	f.exec(t, "UPDATE {schema}.slices SET closed_at = closed_at - interval '2 hours'")
	tx := f.begin(t)
	f.in(t, tx, "SELECT FROM {schema}.jobs")
	if err := q.Prune(t.Context()); err != nil {
		t.Errorf("prune with a reader: %v", err)
	}
	if emptied := get[int](t, f, "SELECT {schema}.prune('1 hour')"); emptied != 0 { // by hand, likewise
		t.Errorf("%d slices were emptied under a reader", emptied)
	}
	var n int
	if err := tx.QueryRow(t.Context(), f.sql("SELECT count(*) FROM {schema}.jobs")).Scan(&n); err != nil || n != 10 {
		t.Errorf("the reader sees %d jobs, error %v", n, err)
	}
	rollback(t, tx)
	if err := q.Prune(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := get[int](t, f, "SELECT count(*) FROM {schema}.jobs"); n != 0 {
		t.Errorf("%d jobs are left after the reader went", n)
	}
}

func TestOfSeveralPrunersOneIsAtIt(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	q := f.epoch(t)
	f.finishedAgo(t, q, "2 hours", 1)
	tx := f.begin(t)
	f.in(t, tx, "SELECT {schema}.prune('1 hour')")
	if err := q.Prune(t.Context()); err != nil {
		t.Errorf("prune beside another: %v", err)
	}
	commit(t, tx)
	if n := get[int](t, f, "SELECT count(*) FROM {schema}.slices WHERE opened_at IS NOT NULL AND closed_at IS NULL"); n != 1 {
		t.Errorf("%d slices are open, want 1", n)
	}
	if timeout := get[string](t, f, "SHOW lock_timeout"); timeout != "0" {
		t.Errorf("lock_timeout is %s after a prune", timeout)
	}
}

func TestEndedWorkersArePrunedOnceNothingIsTheirs(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	q, ended, holding, young := f.epoch(t), f.epoch(t), f.epoch(t), f.epoch(t)
	held(t, holding, f.enqueue(t, store.NewJob{Kind: "a"}), "a")
	for _, e := range []*store.Queue{ended, young} {
		if err := e.End(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	f.exec(t, "UPDATE {schema}.workers SET state = 'ended', ended_at = now() - interval '2 hours' WHERE id IN ($1, $2)", ended.Epoch(), holding.Epoch())
	if err := q.Prune(t.Context()); err != nil {
		t.Fatal(err)
	}
	left := get[[]string](t, f, "SELECT array_agg(id::text ORDER BY started_at) FROM {schema}.workers")
	if diff := cmp.Diff([]string{q.Epoch(), holding.Epoch(), young.Epoch()}, left); diff != "" {
		t.Errorf("workers left (-want +got):\n%s", diff)
	}
	rescue(t, q, 1)
}

func TestCountsStayFewHoweverManyBatchesAreRecorded(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	q := f.epoch(t)
	f.finishedAgo(t, q, "0", 1)
	// As many more finished, and were retried and cancelled.
	f.exec(t, "INSERT INTO {schema}.finished_counts SELECT 0, 'default', 'noop0', s, n FROM generate_series(1, 300) i, unnest('{completed,discarded}'::text[]) s, unnest('{1,-1}'::int[]) n")
	if err := q.Prune(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := get[int](t, f, "SELECT count(*) FROM {schema}.finished_counts"); n != 2 { // completed, discarded
		t.Errorf("%d rows of counts, want 2", n)
	}
}

func TestCountsTellQueuesKindsAndStatesApart(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	q := f.epoch(t)
	due := f.enqueue(t,
		store.NewJob{Kind: "a"}, store.NewJob{Kind: "a"}, store.NewJob{Kind: "a", Queue: "other"},
		store.NewJob{Kind: "b", ScheduledAt: time.Now().Add(time.Hour)}, store.NewJob{Kind: "b", ScheduledAt: time.Now().Add(time.Hour)})
	f.makeDue(t, due[4])
	f.worked(t, q, store.NewJob{Kind: "c"}, understudy.Outcome{Verdict: understudy.Completed})
	f.worked(t, q, store.NewJob{Kind: "c"}, understudy.Outcome{Verdict: understudy.Retried, Error: "no", Delay: time.Hour})
	again := f.worked(t, q, store.NewJob{Kind: "d"}, understudy.Outcome{Verdict: understudy.Discarded, Error: "no"})
	if _, err := f.Retry(t.Context(), again); err != nil {
		t.Fatal(err)
	}
	held(t, q, []int64{again}, "d")
	counts, err := f.Counts(t.Context())
	want := []store.Count{
		{Queue: "default", Kind: "a", State: "available", Count: 2, Due: 2},
		{Queue: "default", Kind: "b", State: "available", Count: 1, Due: 1},
		{Queue: "default", Kind: "b", State: "scheduled", Count: 1},
		{Queue: "default", Kind: "c", State: "completed", Count: 1},
		{Queue: "default", Kind: "c", State: "retryable", Count: 1},
		{Queue: "default", Kind: "d", State: "running", Count: 1},
		{Queue: "other", Kind: "a", State: "available", Count: 1, Due: 1},
	}
	if diff := cmp.Diff(want, counts); diff != "" || err != nil {
		t.Errorf("counts (-want +got):\n%s, error %v", diff, err)
	}
	waits, err := f.Due(t.Context())
	if err != nil || len(waits) != 2 {
		t.Fatalf("due are %+v, error %v", waits, err)
	}
	for _, d := range waits {
		if jobs := map[string]int64{"default": 2, "other": 1}[d.Queue]; d.Jobs != jobs || d.OldestSeconds < 0 || d.OldestSeconds > 60 {
			t.Errorf("due is %+v", d)
		}
	}
}
