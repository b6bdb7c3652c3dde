package store_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/understudy-worker/understudy"
	"github.com/understudy-worker/understudy/store"
)

func TestATakenKeyYieldsTheJobThatHasIt(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	unique := store.NewJob{Kind: "a", UniqueKey: "k"}
	first := f.enqueue(t, unique)[0]
	for name, id := range map[string]int64{
		"one":       mustEnqueue(t, f, unique),
		"in a bulk": f.enqueue(t, store.NewJob{Kind: "a"}, unique)[1],
		"in SQL":    get[int64](t, f, "SELECT {schema}.enqueue('a', unique_key => 'k')"),
	} {
		if id != first {
			t.Errorf("%s: got job %d, want %d", name, id, first)
		}
	}
	if other := mustEnqueue(t, f, store.NewJob{Kind: "b", UniqueKey: "k"}); other == first {
		t.Error("the key of one kind was taken for another's")
	}
	ids := f.enqueue(t, store.NewJob{Kind: "c", UniqueKey: "x", Args: 1}, store.NewJob{Kind: "c", UniqueKey: "y", Args: 2}, store.NewJob{Kind: "c", UniqueKey: "x", Args: 3})
	if ids[0] != ids[2] || ids[0] == ids[1] || string(f.job(t, ids[0]).Args) != "1" {
		t.Errorf("a bulk with a key twice: ids %v, args %s; want the first to have it", ids, f.job(t, ids[0]).Args)
	}
}

func mustEnqueue(t testing.TB, f *fixture, job store.NewJob) int64 {
	t.Helper()
	id, err := f.Enqueue(t.Context(), job)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func TestAKeyIsFreeOnceItsJobIsFinished(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	q := f.epoch(t)
	unique := store.NewJob{Kind: "a", UniqueKey: "k"}
	for _, finish := range []func(id int64){
		func(id int64) { completed(t, q, held(t, q, []int64{id}, "a")...) },
		func(id int64) {
			record(t, q, understudy.Outcome{Job: held(t, q, []int64{id}, "a")[0], Verdict: understudy.Discarded, Error: "no"})
		},
		func(id int64) {
			if _, err := f.Cancel(t.Context(), id); err != nil {
				t.Fatal(err)
			}
		},
	} {
		id := mustEnqueue(t, f, unique)
		if again := mustEnqueue(t, f, unique); again != id {
			t.Fatalf("job %d has the key, enqueue returned %d", id, again)
		}
		finish(id)
		if !f.state(t, id).Final() {
			t.Fatalf("job %d is %s", id, f.state(t, id))
		}
	}
	mustEnqueue(t, f, unique)
	if n := get[int](t, f, "SELECT count(*) FROM {schema}.jobs WHERE unique_key = 'k'"); n != 4 {
		t.Errorf("%d jobs had the key, want 4", n)
	}
}

// completed records jobs as completed.
func completed(t testing.TB, q *store.Queue, jobs ...*understudy.Job) {
	t.Helper()
	if diff := cmp.Diff(understudy.Recorded{}, record(t, q, completions(jobs)...)); diff != "" {
		t.Fatalf("recorded (-want +got):\n%s", diff)
	}
}

func TestEnqueuersOfOneKeyGetOneJob(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	const enqueuers = 8
	for round := range 20 {
		var calls sync.WaitGroup
		ids := make([]int64, enqueuers)
		job := store.NewJob{Kind: "a", UniqueKey: fmt.Sprint(round)}
		for i := range enqueuers {
			calls.Go(func() {
				var err error
				if i%2 == 0 {
					ids[i], err = f.Enqueue(t.Context(), job)
				} else {
					var both []int64
					both, err = f.EnqueueMany(t.Context(), []store.NewJob{{Kind: "b"}, job})
					ids[i] = both[len(both)-1]
				}
				if err != nil {
					t.Error(err)
				}
			})
		}
		calls.Wait()
		for _, id := range ids {
			if id != ids[0] || id == 0 {
				t.Fatalf("ids are %v", ids)
			}
		}
	}
	if n := get[int](t, f, "SELECT count(*) FROM {schema}.jobs WHERE kind = 'a'"); n != 20 {
		t.Errorf("%d jobs, want 20", n)
	}
}

func TestAnEnqueuerWaitsForTheTransactionThatHasTheKey(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	for _, commits := range []bool{true, false} {
		job := store.NewJob{Kind: "a", UniqueKey: fmt.Sprint(commits)}
		tx := f.begin(t)
		theirs, err := f.EnqueueTx(t.Context(), tx, job)
		if err != nil {
			t.Fatal(err)
		}
		var ours int64
		var call sync.WaitGroup
		call.Go(func() { ours, err = f.Enqueue(t.Context(), job) })
		eventually(t, "the second enqueuer waits", func() bool { return f.waits(t) })
		if commits {
			commit(t, tx)
		} else {
			rollback(t, tx)
		}
		call.Wait()
		if err != nil || (ours == theirs) != commits {
			t.Errorf("committed %t: job %d has the key, enqueue returned %d, error %v", commits, theirs, ours, err)
		}
	}
}

func TestEnqueueDuringACompletionNeverLosesTheJob(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	q := f.epoch(t)
	// One side completes whatever has the key; the other wants a job with the
	// key that is completed after it asked.
	stop := make(chan struct{})
	var worker sync.WaitGroup
	worker.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				completed(t, q, claim(t, q, 10, "a")...)
			}
		}
	})
	for range 100 {
		asked := get[time.Time](t, f, "SELECT clock_timestamp()")
		id := mustEnqueue(t, f, store.NewJob{Kind: "a", UniqueKey: "k"})
		var row store.JobRow
		eventually(t, "the job completes", func() bool { row = f.job(t, id); return row.State.Final() })
		if row.FinalizedAt.Before(asked.Add(-time.Second)) {
			t.Fatalf("job %d was finished at %s, long before it was enqueued at %s", id, row.FinalizedAt, asked)
		}
	}
	close(stop)
	worker.Wait()
	if n := get[int](t, f, "SELECT count(*) FROM {schema}.open_jobs"); n != 0 {
		t.Errorf("%d jobs are left", n)
	}
}

func TestAKeyThatBecomesFreeWhileABulkWaitsIsTaken(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	q := f.epoch(t)
	old := mustEnqueue(t, f, store.NewJob{Kind: "a", UniqueKey: "a"})
	job := held(t, q, []int64{old}, "a")[0]
	tx := f.begin(t)
	f.in(t, tx, "SELECT {schema}.enqueue('a', unique_key => 'b')")
	var ids []int64
	var err error
	var call sync.WaitGroup
	call.Go(func() {
		ids, err = f.EnqueueMany(t.Context(), []store.NewJob{{Kind: "a", UniqueKey: "a"}, {Kind: "a", UniqueKey: "b"}})
	})
	// By now the bulk has found that the first key is taken.
	eventually(t, "the bulk waits for the second key", func() bool { return f.waits(t) })
	completed(t, q, job)
	rollback(t, tx)
	if call.Wait(); err != nil || ids[0] == old {
		t.Fatalf("ids are %v, error %v; job %d is completed", ids, err, old)
	}
	held(t, q, ids, "a")
}

func TestAKeyWhoseJobIsBeingCompletedIsWaitedFor(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	q := f.epoch(t)
	for _, commits := range []bool{true, false} {
		unique := store.NewJob{Kind: "a", UniqueKey: fmt.Sprint(commits)}
		id := mustEnqueue(t, f, unique)
		job := held(t, q, []int64{id}, "a")[0]
		tx := f.begin(t)
		if err := store.CompleteTx(t.Context(), tx, job); err != nil {
			t.Fatal(err)
		}
		var next int64
		var err error
		var call sync.WaitGroup
		call.Go(func() { next, err = f.Enqueue(t.Context(), unique) })
		eventually(t, "the enqueuer waits", func() bool { return f.waits(t) })
		if commits {
			commit(t, tx)
		} else {
			rollback(t, tx)
		}
		call.Wait()
		if err != nil || (next == id) == commits {
			t.Errorf("completed %t: job %d had the key, enqueue returned %d, error %v", commits, id, next, err)
		}
		if commits {
			held(t, q, []int64{next}, "a")
		}
	}
}
