package store_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/understudy-worker/understudy/store"
)

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

func TestAClockThatWasSetBackKeepsNothingLonger(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	q, ended := f.epoch(t), f.epoch(t) // kept for an hour
	ids := f.finishedAgo(t, q, "11 minutes", 3)
	if err := q.Prune(t.Context()); err != nil { // closes their slice
		t.Fatal(err)
	}
	if err := ended.End(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.exec(t, "UPDATE {schema}.slices SET opened_at = opened_at + interval '1 year', closed_at = closed_at + interval '1 year'")
	f.exec(t, "UPDATE {schema}.workers SET ended_at = ended_at + interval '1 year'")
	if err := q.Prune(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.exec(t, "UPDATE {schema}.slices SET opened_at = opened_at - interval '61 minutes', closed_at = closed_at - interval '61 minutes'")
	f.exec(t, "UPDATE {schema}.workers SET ended_at = ended_at - interval '61 minutes'")
	if err := q.Prune(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := get[int](t, f, "SELECT count(*) FROM {schema}.finished_jobs WHERE id = ANY ($1)", ids); n != 0 {
		t.Errorf("%d jobs are kept longer than the retention", n)
	}
	if n := get[int](t, f, "SELECT count(*) FROM {schema}.workers WHERE state = 'ended'"); n != 0 {
		t.Errorf("%d workers that ended are kept longer than the retention", n)
	}
}
