package store_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/understudy-worker/understudy/store"
)

func TestABulkReturnsTheIDsInTheOrderGiven(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	const n = 25_000 // several statements
	jobs := make([]store.NewJob, n)
	for i := range jobs {
		jobs[i] = store.NewJob{Kind: fmt.Sprint("k", i%7), Args: i, UniqueKey: fmt.Sprint(n - i)}
	}
	ids := f.enqueue(t, jobs...)
	if len(ids) != n || !slices.IsSorted(ids) {
		t.Fatalf("%d ids, sorted: %t", len(ids), slices.IsSorted(ids))
	}
	rows, err := f.pool.Query(t.Context(), f.sql("SELECT args::int FROM {schema}.open_jobs ORDER BY id"))
	if err != nil {
		t.Fatal(err)
	}
	args, err := pgx.CollectRows(rows, pgx.RowTo[int])
	if err != nil {
		t.Fatal(err)
	}
	for i, got := range args {
		if got != i {
			t.Fatalf("job %d has args %d", i, got)
		}
	}
	if ids, err := f.EnqueueMany(t.Context(), nil); err != nil || len(ids) != 0 {
		t.Errorf("an empty bulk: ids %v, error %v", ids, err)
	}
}

func TestABulkIsEnqueuedWholeOrNotAtAll(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	many := make([]store.NewJob, 20_001)
	for i := range many {
		many[i] = store.NewJob{Kind: "a"}
	}
	bad := func(at int, job store.NewJob) []store.NewJob {
		jobs := slices.Clone(many)
		jobs[at-1] = job
		return jobs
	}
	// In Postgres's text, with its spaces, it is longer than Go's, and too long.
	long := store.NewJob{Kind: "a", Args: strings.Split(strings.Repeat("x,", 260_000), ",")}
	for name, c := range map[string]struct {
		jobs []store.NewJob
		says string
	}{
		"found in Go":                  {bad(17, store.NewJob{}), "enqueue: job 17: kind is empty"},
		"found in Go, a later chunk":   {bad(10_003, store.NewJob{Kind: "a", Priority: 5}), "enqueue: job 10003: priority is 5"},
		"found in SQL":                 {bad(2, long), "enqueue: job 2: args has 1300"},
		"found in SQL, a later chunk":  {bad(10_003, long), "enqueue: job 10003: args has 1300"},
		"found in SQL, the last of it": {bad(20_001, long), "enqueue: job 20001: args has 1300"},
		"found in SQL, alone":          {[]store.NewJob{long}, "enqueue: args has 1300"},
	} {
		_, err := f.EnqueueMany(t.Context(), c.jobs)
		wantError(t, err, c.says)
		if n := get[int](t, f, "SELECT count(*) FROM {schema}.open_jobs"); n != 0 || t.Failed() {
			t.Fatalf("%s: %d jobs were enqueued", name, n)
		}
	}
	for arguments, says := range map[string]string{
		"'{a,b,NULL}'":                       "enqueue: job 3: kind is empty",
		"'{a,b}', priorities => '{1,9}'":     "enqueue: job 2: priority is 9",
		"'{a}', queues => '{x,y}'":           "enqueue_many: an array is longer than kinds, which has 1 elements",
		"'{a,b}', unique_keys => '{k,\"\"}'": "enqueue: job 2: unique_key is empty",
	} {
		_, err := f.pool.Exec(t.Context(), f.sql("SELECT {schema}.enqueue_many("+arguments+")"))
		wantError(t, err, says)
	}
	if n := get[int](t, f, "SELECT count(*) FROM {schema}.open_jobs"); n != 0 {
		t.Errorf("%d jobs were enqueued", n)
	}
}

func TestArraysOfAnyShapeAreTakenInTheirOrder(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	first := get[[]int64](t, f, "SELECT {schema}.enqueue_many('[5:6]={a,b}'::text[], unique_keys => '[0:1]={k,k}'::text[])")
	again := get[[]int64](t, f, "SELECT {schema}.enqueue_many('{{a,b},{c,d}}'::text[], unique_keys => '[7:8]={k,k}'::text[])")
	if diff := cmp.Diff(first, again[:2]); diff != "" {
		t.Errorf("ids of the same keys (-first +again):\n%s", diff)
	}
	rows, err := f.Jobs(t.Context(), store.Filter{})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, row := range rows {
		got[row.Kind] = row.UniqueKey
	}
	if diff := cmp.Diff(map[string]string{"a": "k", "b": "k", "c": "", "d": ""}, got); diff != "" {
		t.Errorf("unique keys by kind (-want +got):\n%s", diff)
	}
}

func TestBulksOfTheSameKeysDoNotDeadlock(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	const keys, callers = 307, 6 // a prime, so that every caller has every key
	for round := range 5 {
		var calls sync.WaitGroup
		results := make([][]int64, callers)
		for caller := range callers {
			calls.Go(func() {
				jobs := make([]store.NewJob, keys)
				for i := range jobs { // each in an order of its own
					jobs[i] = store.NewJob{Kind: "a", UniqueKey: fmt.Sprint(round, (i*(2*caller+1)+caller)%keys)}
				}
				var ids []int64
				err := pgx.BeginFunc(t.Context(), f.pool, func(tx pgx.Tx) (err error) {
					ids, err = f.EnqueueManyTx(t.Context(), tx, jobs)
					return err
				})
				if err != nil {
					t.Error(err)
				}
				slices.Sort(ids)
				results[caller] = slices.Compact(ids)
			})
		}
		calls.Wait()
		for _, ids := range results[1:] {
			if diff := cmp.Diff(results[0], ids); diff != "" && !t.Failed() {
				t.Errorf("two callers got different jobs for the same keys:\n%s", diff)
			}
		}
	}
	if n := get[int](t, f, "SELECT count(*) FROM {schema}.jobs"); n != 5*keys && !t.Failed() {
		t.Errorf("%d jobs, want %d", n, 5*keys)
	}
}

func TestABulkBeginsAnewAfterADeadlock(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	tx := f.begin(t)
	f.in(t, tx, "SET LOCAL deadlock_timeout = '1 h'") // it is the other that finds out
	f.in(t, tx, "SELECT {schema}.enqueue('a', unique_key => 'b')")
	var ids []int64
	var err error
	var call sync.WaitGroup
	call.Go(func() {
		ids, err = f.EnqueueMany(t.Context(), []store.NewJob{{Kind: "a", UniqueKey: "a"}, {Kind: "a", UniqueKey: "b"}})
	})
	eventually(t, "the bulk waits for the key", func() bool { return f.waits(t) })
	f.in(t, tx, "SELECT {schema}.enqueue('a', unique_key => 'a')")
	commit(t, tx)
	if call.Wait(); err != nil {
		t.Fatal(err)
	}
	want := get[[]int64](t, f, "SELECT array_agg(id ORDER BY unique_key) FROM {schema}.jobs")
	if diff := cmp.Diff(want, ids); diff != "" {
		t.Errorf("ids (-want +got):\n%s", diff)
	}
}

func TestOnlyAJobThatIsDueWakesWorkers(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	heard := f.listen(t)
	tomorrow := time.Now().Add(24 * time.Hour)
	f.enqueue(t, store.NewJob{Kind: "a", ScheduledAt: tomorrow}, store.NewJob{Kind: "a", ScheduledAt: tomorrow})
	f.exec(t, "SELECT {schema}.enqueue('a', scheduled_at => now() + interval '1 day')")
	f.exec(t, "NOTIFY \""+f.schema+"\"") // a mark: what was notified before it has been heard by then
	heard.until(t, f.schema)
	if n := heard.wakes; n != 0 {
		t.Errorf("%d wakes for jobs of tomorrow", n)
	}
	f.enqueue(t, store.NewJob{Kind: "a", ScheduledAt: tomorrow}, store.NewJob{Kind: "a"}, store.NewJob{Kind: "a"})
	f.exec(t, "NOTIFY \""+f.schema+"\"")
	heard.until(t, f.schema)
	if n := heard.wakes; n != 1 {
		t.Errorf("%d wakes for one transaction, want 1", n)
	}
}
