package store_test

import (
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/understudy-worker/understudy"
	"github.com/understudy-worker/understudy/store"
)

// wholeLife uses everything that a worker does.
func wholeLife(t *testing.T, f *fixture, change ...func(*store.QueueOptions)) {
	t.Helper()
	q, other := f.epoch(t, change...), f.epoch(t, change...)
	ids := f.enqueue(t, noops(12, 1)...)
	jobs := held(t, q, ids, "noop0")
	if err := jobs[0].SetResult("fine"); err != nil {
		t.Fatal(err)
	}
	var outcomes []understudy.Outcome
	for i, verdict := range understudy.Verdicts {
		outcomes = append(outcomes, understudy.Outcome{Job: jobs[i], Verdict: verdict, Error: "no", Delay: time.Hour})
	}
	tx := f.begin(t)
	f.in(t, tx, "SELECT FROM {schema}.open_jobs WHERE id = $1 FOR UPDATE", ids[0])
	if done := record(t, q, outcomes...); len(done.Deferred) != 1 || len(done.Fenced)+len(done.Rejected) != 0 {
		t.Errorf("recorded %+v", done)
	}
	rollback(t, tx)
	record(t, q, outcomes[0])
	tx = f.begin(t)
	if err := store.CompleteTx(t.Context(), tx, jobs[6]); err != nil {
		t.Fatal(err)
	}
	commit(t, tx)
	if state, err := f.Cancel(t.Context(), ids[7]); err != nil || state != "running" {
		t.Errorf("cancel: %s, error %v", state, err)
	}
	if found, err := q.Reconcile(t.Context()); err != nil || len(found.CancelRequested) != 1 || found.Reclaimed != 0 {
		t.Errorf("reconciled %+v, error %v", found, err)
	}
	if err := q.Renew(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	if err := q.End(t.Context()); err != nil { // releases jobs 8 to 11, cancels job 7
		t.Fatal(err)
	}
	if _, err := f.Retry(t.Context(), ids[1]); err != nil {
		t.Fatal(err)
	}
	again := claim(t, other, 100, "noop0")
	if len(again) != 6 { // 1, 5, and what End released
		t.Errorf("claimed %v", idsOf(again))
	}
	f.expireLease(t, other)
	last := f.epoch(t, change...)
	rescue(t, last, 6)
	if _, err := last.Promote(t.Context()); err != nil {
		t.Error(err)
	}
	if err := last.Prune(t.Context()); err != nil {
		t.Error(err)
	}
	f.readAll(t)
	if err := last.End(t.Context()); err != nil {
		t.Error(err)
	}
	want := map[understudy.State]int64{"completed": 2, "discarded": 0, "cancelled": 2, "retryable": 1, "scheduled": 1, "available": 6}
	counts, err := f.Counts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range counts {
		want[c.State] -= c.Count
	}
	for state, n := range want {
		if n != 0 {
			t.Errorf("%d jobs too few are %s", n, state)
		}
	}
	f.check(t)
}

// readAll uses everything that reads.
func (f *fixture) readAll(t *testing.T) {
	t.Helper()
	if rows, err := f.Jobs(t.Context(), store.Filter{State: "completed", Kind: "noop0", Queue: "default", Before: 1 << 40, Limit: 1}); err != nil || len(rows) != 1 {
		t.Errorf("listed %v, error %v", rows, err)
	}
	if workers, err := f.LiveWorkers(t.Context()); err != nil || len(workers) != 1 || workers[0] != (store.LiveWorkers{Role: "active", Workers: 1}) {
		t.Errorf("live workers are %v, error %v", workers, err)
	}
	if rows, err := f.Workers(t.Context(), 2); err != nil || len(rows) != 2 {
		t.Errorf("workers are %v, error %v", rows, err)
	}
	if due, err := f.Due(t.Context(), []string{"default", "other"}); err != nil || len(due) != 1 {
		t.Errorf("due are %v, error %v", due, err)
	}
}

func TestThroughATransactionPoolerAllWorksTheSame(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	config := f.pool.Config()
	config.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeExec
	config.ConnConfig.StatementCacheCapacity, config.ConnConfig.DescriptionCacheCapacity = 0, 0
	wholeLife(t, f.withPool(t, config), pooled)
	left := get[int](t, f, `SELECT count(*) FROM pg_settings WHERE source = 'session' AND name IN ('search_path', 'enable_seqscan', 'lock_timeout')`)
	if left != 0 {
		t.Errorf("%d settings were left in a session that others use", left)
	}
}

func TestADefaultOfStricterIsolationChangesNothing(t *testing.T) {
	t.Parallel()
	f := migrated(t)
	for _, level := range []string{"repeatable read", "serializable"} {
		config := f.pool.Config()
		config.ConnConfig.RuntimeParams["default_transaction_isolation"] = level
		g := f.withPool(t, config)
		q, other := g.epoch(t), g.epoch(t)
		f.enqueue(t, noops(500, 1)...)
		var work sync.WaitGroup
		for _, q := range []*store.Queue{q, other} {
			work.Go(func() {
				for batch := claim(t, q, 7, "noop0"); len(batch) > 0; batch = claim(t, q, 7, "noop0") {
					if done := record(t, q, completions(batch)...); len(done.Fenced)+len(done.Deferred) > 0 {
						t.Errorf("%s: recorded %+v", level, done)
					}
				}
			})
		}
		work.Wait()
		if n := get[int](t, f, "SELECT count(*) FROM {schema}.open_jobs"); n != 0 {
			t.Errorf("%s: %d jobs are left", level, n)
		}
	}
}
