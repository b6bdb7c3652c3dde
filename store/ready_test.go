package store_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/understudy-worker/understudy"
	"github.com/understudy-worker/understudy/store"
)

func TestJobsThatAreEnqueuedTogetherShareRows(t *testing.T) {
	t.Parallel()
	const jobs, block = 640, 32
	for kinds := 1; kinds <= 3; kinds++ {
		f := migrated(t)
		f.enqueue(t, noops(jobs, kinds)...)
		if rows, want := get[int](t, f, "SELECT count(*) FROM {schema}.ready"), (jobs/block+1)*kinds; rows > want {
			t.Errorf("%d jobs of %d kinds stand in %d rows, want %d at most", jobs, kinds, rows, want)
		}
		f.check(t)
	}
}

func TestAClaimTakesOfARowWhatItWantsAndLeavesTheRest(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	q, other := f.epoch(t), f.epoch(t)
	ids := f.enqueue(t, noops(50, 1)...)
	var got []int64
	for _, want := range []int{1, 7, 30, 2, 10} {
		jobs := claim(t, q, want, "noop0")
		got = append(got, idsOf(jobs)...)
		q, other = other, q
		f.check(t)
	}
	if !slices.Equal(got, ids) {
		t.Errorf("claimed %v, want %v", got, ids)
	}
}

func TestReleasedJobsStandBeforeThoseThatTheyWereTakenFrom(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	q := f.epoch(t)
	ids := f.enqueue(t, noops(20, 1)...)
	for _, job := range claim(t, q, 10, "noop0") {
		if job.ID%2 == 0 {
			record(t, q, understudy.Outcome{Job: job, Verdict: understudy.Released})
		}
	}
	f.check(t)
	want := slices.DeleteFunc(slices.Clone(ids), func(id int64) bool { return id <= ids[9] && id%2 == 1 })
	held(t, q, want, "noop0")
}

func TestACancelTakesOneJobOutOfARow(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	q := f.epoch(t)
	ids := f.enqueue(t, slices.Repeat([]store.NewJob{{Kind: "a"}}, 8)...)
	for _, place := range []int{0, 7, 3, 4} {
		if state, err := f.Cancel(t.Context(), ids[place]); err != nil || state != understudy.StateCancelled {
			t.Errorf("cancelled job %d: %s, error %v", place, state, err)
		}
		f.check(t)
	}
	held(t, q, []int64{ids[1], ids[2], ids[5], ids[6]}, "a")
	if rows := get[int](t, f, "SELECT count(*) FROM {schema}.ready"); rows != 0 {
		t.Errorf("%d rows are left", rows)
	}
}

func TestACancelOfOneJobIsNotInTheWayOfAnotherOfItsRow(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	ids := f.enqueue(t, slices.Repeat([]store.NewJob{{Kind: "a"}}, 3)...)
	tx := f.begin(t)
	f.in(t, tx, "SELECT {schema}.cancel($1)", ids[0])
	var state understudy.State
	second := make(chan error, 1)
	go func() {
		var err error
		state, err = f.Cancel(t.Context(), ids[1])
		second <- err
	}()
	eventually(t, "the second cancel waits for the row", func() bool { return f.waits(t) })
	commit(t, tx)
	if err := <-second; err != nil || state != understudy.StateCancelled {
		t.Errorf("the second cancel: %s, error %v", state, err)
	}
	f.check(t)
	held(t, f.epoch(t), ids[2:], "a")
}

// regroup makes the rows of ready anew: jobs that may share one do where by,
// some SQL, is the same of their ids.
func (f *fixture) regroup(t testing.TB, by string) {
	t.Helper()
	f.exec(t, `WITH gone AS (DELETE FROM {schema}.ready RETURNING *)
		INSERT INTO {schema}.ready (queue, kind, priority, run_at, job_ids, requeues)
		SELECT r.queue, r.kind, r.priority, run_at, array_agg(id ORDER BY id), j.requeues
		FROM gone r CROSS JOIN unnest(job_ids) AS u (id) JOIN {schema}.open_jobs j USING (id)
		GROUP BY r.queue, r.kind, r.priority, run_at, j.requeues, `+by)
}

// interleave makes two rows of one kind's jobs, of which each has every second,
// as two that enqueue at the same time do.
func (f *fixture) interleave(t testing.TB) {
	t.Helper()
	f.regroup(t, "id / 32, id % 2")
}

func TestRowsMayInterleave(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	q := f.epoch(t)
	ids := f.enqueue(t, noops(28, 1)...)
	f.interleave(t)
	f.check(t)
	got := idsOf(claim(t, q, 20, "noop0"))
	f.check(t)
	if len(got) != 20 {
		t.Errorf("claimed %d jobs, want 20", len(got))
	}
	got = append(got, idsOf(claim(t, q, 20, "noop0"))...)
	if slices.Sort(got); !slices.Equal(got, ids) {
		t.Errorf("claimed %v, want %v", got, ids)
	}
}

// scatter gives jobs other requeues and makes rows of some that may share one,
// with or without gaps.
func (f *fixture) scatter(t testing.TB) {
	t.Helper()
	f.exec(t, "UPDATE {schema}.open_jobs SET requeues = floor(random() * 2)")
	f.regroup(t, "id / 8, floor(random() * 2)")
}

func TestAClaimBringsEachJobOnceHoweverItsRowsAreMadeUp(t *testing.T) {
	t.Parallel()
	const jobs = 1000
	f := migrated(t)
	q := f.epoch(t)
	ids := f.enqueue(t, noops(jobs, 2)...)
	f.scatter(t)
	f.check(t)
	var got []int64
	for len(got) < jobs {
		claimed := claim(t, q, 1+rand.N(100), "noop0", "noop1")
		if len(claimed) == 0 {
			t.Fatalf("claimed %d jobs and no more, want %d", len(got), jobs)
		}
		got = append(got, idsOf(claimed)...)
		completed(t, q, claimed...) // which are fenced if they have come with other requeues
		f.check(t)
	}
	if slices.Sort(got); !slices.Equal(got, ids) {
		t.Errorf("claimed %v, want %v", got, ids)
	}
}
